"""Cross-modal attention and a loss on how far the fused features are from those of each modality."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.fusion.cross_attention import CrossAttentionFusion
from jointune.fusion.fused import Fused, mean_over_complete


class MualFusion(nn.Module):
    """After MuAL: cross-modal attention with a difference loss (Deng et al., 2024, DOI 10.1007/s13735-024-00340-w).

    The paper's text was not at hand; its title and second-hand descriptions say that each modality attends to the
    other, and that a difference loss narrows the gap between what is fused and what each modality says by itself. Its
    layers, equations and weights are not known here and not claimed. Decided here: one attention layer a direction with
    a residual; the fused vector ``f`` is a projection of both attended means; the loss is the mean of ``1 - cos(f, t)``
    and ``1 - cos(f, i)`` with the projected pooled vectors ``t`` and ``i``, so that no scale is preferred; and the
    joint vector is ``[f, t, i]``, so that the pooled vectors reach the head by themselves, as little data asks for.

    Args:
        dims: by modality, the width of its encoder's output.
        dim: the width of each projection.
        heads: attention heads.
        dropout: in attention and on the joint vector.
        weight: of the difference loss.
    """

    def __init__(
        self, dims: Mapping[str, int], dim: int = 256, heads: int = 8, dropout: float = 0.3, weight: float = 0.1
    ) -> None:
        super().__init__()
        self.attention = CrossAttentionFusion(dims, dim, heads, dropout)
        self.fused = nn.Sequential(nn.Linear(len(dims) * dim, dim), nn.GELU())
        self.dropout = nn.Dropout(dropout)
        self.weight = weight
        self.dim = (1 + len(dims)) * dim

    def forward(self, outputs: Mapping[str, EncoderOutput], present: Tensor) -> Fused:
        """Return joint vectors [B, ``dim``] and the difference loss."""
        attended, alone = self.attention.parts(outputs)
        fused = self.fused(torch.cat(attended, dim=-1))
        loss = self.weight * mean_over_complete(difference_loss(fused, alone), present)
        return Fused(self.dropout(torch.cat([fused, *alone], dim=-1)), loss)


def difference_loss(fused: Tensor, alone: Sequence[Tensor]) -> Tensor:
    """Return how far fused features are from those of each modality: [B, D] each to [B], 0 for the same directions."""
    similarities = [torch.cosine_similarity(fused.float(), vector.float(), dim=-1) for vector in alone]
    return 1 - torch.stack(similarities).mean(0)
