"""Attention between tokens and patches, in both directions."""

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput, masked_mean


class CrossAttentionFusion(nn.Module):
    """Each modality's states attend to the other's, as in the co-attention of ViLBERT (arXiv 1908.02265).

    The attended states are averaged over real tokens and joined with the projected pooled vectors.

    Args:
        text_dim: width of the text encoder's states.
        image_dim: width of the image encoder's states.
        dim: width of each projection.
        heads: attention heads.
        dropout: in attention and on the joint vector.
    """

    def __init__(self, text_dim: int, image_dim: int, dim: int = 256, heads: int = 8, dropout: float = 0.3) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, dim))
        self.image = nn.Sequential(nn.LayerNorm(image_dim), nn.Linear(image_dim, dim))
        self.text_to_image = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.image_to_text = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.text_norm = nn.LayerNorm(dim)
        self.image_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.dim = 4 * dim

    def forward(self, text: EncoderOutput, image: EncoderOutput, present: Tensor) -> Tensor:
        """Two states and ``present``, bool [B, 2], to joint vectors [B, ``dim``]."""
        return self.dropout(torch.cat(self.parts(text, image), dim=-1))

    def parts(self, text: EncoderOutput, image: EncoderOutput) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Text that saw the picture, picture that saw the text, text alone and picture alone: [B, dim] each."""
        t, i = self.text(text.tokens), self.image(image.tokens)
        seen_by_text, _ = self.text_to_image(t, i, i, key_padding_mask=~image.mask, need_weights=False)
        seen_by_image, _ = self.image_to_text(i, t, t, key_padding_mask=~text.mask, need_weights=False)
        return (
            masked_mean(self.text_norm(t + seen_by_text), text.mask),
            masked_mean(self.image_norm(i + seen_by_image), image.mask),
            nn.functional.gelu(self.text(text.pooled)),
            nn.functional.gelu(self.image(image.pooled)),
        )
