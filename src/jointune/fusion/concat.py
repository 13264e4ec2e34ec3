"""Concatenation: each pooled vector projected, then side by side."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput


class ConcatFusion(nn.Module):
    """Project, normalise and concatenate the pooled vectors.

    Args:
        dims: by modality, the width of its encoder's output.
        dim: the width of each projection.
        dropout: on the joint vector.
    """

    def __init__(self, dims: Mapping[str, int], dim: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.projections = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim), nn.GELU()) for name, width in dims.items()}
        )
        self.dropout = nn.Dropout(dropout)
        self.dim = len(dims) * dim

    def forward(self, outputs: Mapping[str, EncoderOutput], present: Tensor) -> Tensor:
        """Return joint vectors [B, ``dim``]."""
        vectors = [project(outputs[name].pooled) for name, project in self.projections.items()]
        return self.dropout(torch.cat(vectors, dim=-1))
