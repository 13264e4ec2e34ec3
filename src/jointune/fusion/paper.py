"""The fusion of de Toledo and Marcacini (2022), arXiv 2210.05790."""

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput


class PaperFusion(nn.Module):
    """The paper's architecture, layer for layer.

    Each encoder's pooled vector is projected to 32 units with ReLU; the two are concatenated to 64 and pass one
    transformer encoder layer with 8 heads and dropout 0.4, then Dropout, Linear(128), ReLU and Dropout; the paper's
    last Linear is the head. The rate of those two dropouts, which the paper does not give, is 0.5 as in the authors'
    published code. The transformer layer's attention sees a single position, the concatenated vector: its softmax is
    over one element and always 1, so the layer is a residual feed-forward block and attends to nothing.

    Args:
        text_dim: width of the text encoder's states.
        image_dim: width of the image encoder's states.
    """

    def __init__(self, text_dim: int, image_dim: int) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.Linear(text_dim, 32), nn.ReLU())
        self.image = nn.Sequential(nn.Linear(image_dim, 32), nn.ReLU())
        self.layer = nn.TransformerEncoderLayer(d_model=64, nhead=8, dropout=0.4, batch_first=True)
        self.out = nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5))
        self.dim = 128

    def forward(self, text: EncoderOutput, image: EncoderOutput, present: Tensor) -> Tensor:
        """Two states and ``present``, bool [B, 2], to joint vectors [B, 128]."""
        joint = torch.cat([self.text(text.pooled), self.image(image.pooled)], dim=-1)
        return self.out(self.layer(joint.unsqueeze(1)).squeeze(1))
