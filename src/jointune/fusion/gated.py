"""A gate that weighs the modalities against each other."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput


class GatedFusion(nn.Module):
    """The gated multimodal unit of Arevalo et al. (2017), arXiv 1702.01992, section 3.1.

    With two modalities, the bimodal equations: ``h = z * tanh(W_t t) + (1 - z) * tanh(W_i i)`` with
    ``z = sigmoid(W_z [t, i])``. With more, each has a gate of its own: ``h`` is the sum over modalities m of
    ``sigmoid(W_zm [all]) * tanh(W_m x_m)``.

    Args:
        dims: by modality, the width of its encoder's output.
        dim: the width of the joint vector.
        dropout: on the joint vector.
    """

    def __init__(self, dims: Mapping[str, int], dim: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name, width in dims.items()})
        self.projections = nn.ModuleDict({name: nn.Linear(width, dim) for name, width in dims.items()})
        self.gate = nn.Linear(sum(dims.values()), dim if len(dims) == 2 else dim * len(dims))
        self.dropout = nn.Dropout(dropout)
        self.dim = dim

    def forward(self, outputs: Mapping[str, EncoderOutput], present: Tensor) -> Tensor:
        """Return joint vectors [B, ``dim``]."""
        pooled = {name: norm(outputs[name].pooled) for name, norm in self.norms.items()}
        gate = torch.sigmoid(self.gate(torch.cat(list(pooled.values()), dim=-1)))
        gates = (gate, 1 - gate) if len(pooled) == 2 else gate.split(self.dim, dim=-1)
        values = [torch.tanh(self.projections[name](vector)) for name, vector in pooled.items()]
        joint = gates[0] * values[0]
        for weight, value in zip(gates[1:], values[1:], strict=True):
            joint = joint + weight * value
        return self.dropout(joint)
