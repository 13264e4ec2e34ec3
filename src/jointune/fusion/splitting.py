"""Shared and private parts of each modality, kept apart and then fused."""

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.fusion.fused import Fused, mean_over_pairs


class SplittingFusion(nn.Module):
    """Each modality split into what both say and what it says alone, after MISA (Hazarika et al., 2020).

    From MISA (arXiv 2005.03545): both modalities at one width; one shared encoder for both and a private
    one for each; a similarity loss between the shared parts and a difference loss between shared and private parts and
    between the private ones; self-attention over all parts, which are then put side by side. The split itself is older
    (Domain Separation Networks, Bousmalis et al., 2016, arXiv 1608.06019). SFVE (Yang et al., 2025) is said to split
    texts and pictures likewise; its text was not at hand, and no more than this idea is taken from it. Decided here:
    both losses are of one post, as the parts of a step may be as small as one post, of which MISA's central moments and
    products of feature matrices say nothing: ``1 - cos`` for similarity, the mean of ``cos ** 2`` for difference. The
    reconstruction loss of MISA is left out: encoders that are pre-trained need no reminder of their input, and little
    data no decoders.

    Args:
        text_dim: width of the text encoder's states.
        image_dim: width of the image encoder's states.
        dim: width of each part.
        heads: attention heads.
        dropout: in attention and on the joint vector.
        similarity: weight of the similarity loss.
        difference: weight of the difference loss.
    """

    def __init__(
        self,
        text_dim: int,
        image_dim: int,
        dim: int = 128,
        heads: int = 4,
        dropout: float = 0.3,
        similarity: float = 0.05,
        difference: float = 0.05,
    ) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.image = nn.Sequential(nn.LayerNorm(image_dim), nn.Linear(image_dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.shared = nn.Linear(dim, dim)
        self.private_text = nn.Linear(dim, dim)
        self.private_image = nn.Linear(dim, dim)
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.similarity = similarity
        self.difference = difference
        self.dim = 4 * dim

    def forward(self, text: EncoderOutput, image: EncoderOutput, present: Tensor) -> Fused:
        """Two states and ``present``, bool [B, 2], to joint vectors [B, ``dim``] and both losses, weighted."""
        t, i = self.text(text.pooled), self.image(image.pooled)
        shared = (self.shared(t), self.shared(i))
        private = (self.private_text(t), self.private_image(i))
        parts = torch.stack([*shared, *private], dim=1)
        attended, _ = self.attention(parts, parts, parts, need_weights=False)
        vectors = self.dropout(self.norm(parts + attended).flatten(1))
        losses = self.similarity * similarity_loss(*shared) + self.difference * separation_loss(shared, private)
        return Fused(vectors, mean_over_pairs(losses, present))


def similarity_loss(text: Tensor, image: Tensor) -> Tensor:
    """How far the shared parts are from each other: [B, D] each to [B], 0 where they point the same way."""
    return 1 - torch.cosine_similarity(text.float(), image.float(), dim=-1)


def separation_loss(shared: tuple[Tensor, Tensor], private: tuple[Tensor, Tensor]) -> Tensor:
    """How much the parts overlap: [B, D] each, text then image, to [B], 0 where they are orthogonal.

    Compared are the shared and the private part of each modality, and the two private parts.
    """
    pairs = [(shared[0], private[0]), (shared[1], private[1]), private]
    squares = [torch.cosine_similarity(one.float(), other.float(), dim=-1).square() for one, other in pairs]
    return torch.stack(squares).mean(0)
