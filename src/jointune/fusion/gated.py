"""A gate that weighs the modalities against each other."""

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput


class GatedFusion(nn.Module):
    """The gated multimodal unit of Arevalo et al. (2017), arXiv 1702.01992, equations of its section 3.1.

    ``h = z * tanh(W_t t) + (1 - z) * tanh(W_i i)`` with ``z = sigmoid(W_z [t, i])``.

    Args:
        text_dim: width of the text encoder's states.
        image_dim: width of the image encoder's states.
        dim: width of the joint vector.
        dropout: on the joint vector.
    """

    def __init__(self, text_dim: int, image_dim: int, dim: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.text_norm = nn.LayerNorm(text_dim)
        self.image_norm = nn.LayerNorm(image_dim)
        self.text = nn.Linear(text_dim, dim)
        self.image = nn.Linear(image_dim, dim)
        self.gate = nn.Linear(text_dim + image_dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.dim = dim

    def forward(self, text: EncoderOutput, image: EncoderOutput, present: Tensor) -> Tensor:
        """Two states and ``present``, bool [B, 2], to joint vectors [B, ``dim``]."""
        t, i = self.text_norm(text.pooled), self.image_norm(image.pooled)
        gate = torch.sigmoid(self.gate(torch.cat([t, i], dim=-1)))
        return self.dropout(gate * torch.tanh(self.text(t)) + (1 - gate) * torch.tanh(self.image(i)))
