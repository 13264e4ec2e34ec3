"""The fusion of de Toledo and Marcacini (2022), arXiv 2210.05790."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput


class PaperFusion(nn.Module):
    """The paper's architecture, layer for layer.

    Each encoder's pooled vector is projected to 32 units with ReLU; they are concatenated (two to 64) and pass one
    transformer encoder layer with 8 heads and dropout 0.4, then Dropout, Linear(128), ReLU and Dropout; the paper's
    last Linear is the head. The rate of those two dropouts, which the paper does not give, is 0.5 as in the authors'
    published code. The transformer layer's attention sees a single position, the concatenated vector: its softmax is
    over one element and always 1, so the layer is a residual feed-forward block and attends to nothing.

    Args:
        dims: by modality, the width of its encoder's output.
    """

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.projections = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(width, 32), nn.ReLU()) for name, width in dims.items()}
        )
        width = 32 * len(dims)
        self.layer = nn.TransformerEncoderLayer(d_model=width, nhead=8, dropout=0.4, batch_first=True)
        self.out = nn.Sequential(nn.Dropout(0.5), nn.Linear(width, 128), nn.ReLU(), nn.Dropout(0.5))
        self.dim = 128

    def forward(self, outputs: Mapping[str, EncoderOutput], present: Tensor) -> Tensor:
        """Return joint vectors [B, 128]."""
        joint = torch.cat([project(outputs[name].pooled) for name, project in self.projections.items()], dim=-1)
        return self.out(self.layer(joint.unsqueeze(1)).squeeze(1))
