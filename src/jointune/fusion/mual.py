"""Cross-modal attention and a loss on how far the fused features are from those of each modality."""

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.fusion.cross_attention import CrossAttentionFusion
from jointune.fusion.fused import Fused, mean_over_pairs


class MualFusion(nn.Module):
    """After MuAL: cross-modal attention with a difference loss (Deng et al., 2024, DOI 10.1007/s13735-024-00340-w).

    The paper's text was not at hand; its title and second-hand descriptions say that each modality attends to the
    other, and that a difference loss narrows the gap between what is fused and what each modality says by itself. Its
    layers, equations and weights are not known here and not claimed. Decided here: one attention layer a direction with
    a residual; the fused vector ``f`` is a projection of both attended means; the loss is the mean of ``1 - cos(f, t)``
    and ``1 - cos(f, i)`` with the projected pooled vectors ``t`` and ``i``, so that no scale is preferred; and the
    joint vector is ``[f, t, i]``, so that the pooled vectors reach the head by themselves, as little data asks for.

    Args:
        text_dim: width of the text encoder's states.
        image_dim: width of the image encoder's states.
        dim: width of each projection.
        heads: attention heads.
        dropout: in attention and on the joint vector.
        weight: of the difference loss.
    """

    def __init__(
        self, text_dim: int, image_dim: int, dim: int = 256, heads: int = 8, dropout: float = 0.3, weight: float = 0.1
    ) -> None:
        super().__init__()
        self.attention = CrossAttentionFusion(text_dim, image_dim, dim, heads, dropout)
        self.fused = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU())
        self.dropout = nn.Dropout(dropout)
        self.weight = weight
        self.dim = 3 * dim

    def forward(self, text: EncoderOutput, image: EncoderOutput, present: Tensor) -> Fused:
        """Two states and ``present``, bool [B, 2], to joint vectors [B, ``dim``] and the difference loss."""
        *attended, text_alone, image_alone = self.attention.parts(text, image)
        fused = self.fused(torch.cat(attended, dim=-1))
        loss = self.weight * mean_over_pairs(difference_loss(fused, text_alone, image_alone), present)
        return Fused(self.dropout(torch.cat([fused, text_alone, image_alone], dim=-1)), loss)


def difference_loss(fused: Tensor, text: Tensor, image: Tensor) -> Tensor:
    """How far fused features are from those of each modality: [B, D] each to [B], 0 where they point the same way."""
    to_text = torch.cosine_similarity(fused.float(), text.float(), dim=-1)
    to_image = torch.cosine_similarity(fused.float(), image.float(), dim=-1)
    return 1 - (to_text + to_image) / 2
