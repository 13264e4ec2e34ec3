"""Concatenation: each pooled vector projected, then side by side."""

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput


class ConcatFusion(nn.Module):
    """Project, normalise and concatenate the two pooled vectors.

    Args:
        text_dim: width of the text encoder's states.
        image_dim: width of the image encoder's states.
        dim: width of each projection.
        dropout: on the joint vector.
    """

    def __init__(self, text_dim: int, image_dim: int, dim: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, dim), nn.GELU())
        self.image = nn.Sequential(nn.LayerNorm(image_dim), nn.Linear(image_dim, dim), nn.GELU())
        self.dropout = nn.Dropout(dropout)
        self.dim = 2 * dim

    def forward(self, text: EncoderOutput, image: EncoderOutput, present: Tensor) -> Tensor:
        """Two states and ``present``, bool [B, 2], to joint vectors [B, ``dim``]."""
        return self.dropout(torch.cat([self.text(text.pooled), self.image(image.pooled)], dim=-1))
