"""Shared and private parts of each modality, kept apart and then fused."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.fusion.fused import Fused, mean_over_complete


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
        dims: by modality, the width of its encoder's output.
        dim: the width of each part.
        heads: attention heads.
        dropout: in attention and on the joint vector.
        similarity: weight of the similarity loss.
        difference: weight of the difference loss.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        dim: int = 128,
        heads: int = 4,
        dropout: float = 0.3,
        similarity: float = 0.05,
        difference: float = 0.05,
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleDict(
            {
                name: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim), nn.GELU(), nn.LayerNorm(dim))
                for name, width in dims.items()
            }
        )
        self.shared = nn.Linear(dim, dim)
        self.private = nn.ModuleDict({name: nn.Linear(dim, dim) for name in dims})
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.similarity = similarity
        self.difference = difference
        self.dim = 2 * len(dims) * dim

    def forward(self, outputs: Mapping[str, EncoderOutput], present: Tensor) -> Fused:
        """Return joint vectors [B, ``dim``] and both losses, weighted."""
        projected = {name: project(outputs[name].pooled) for name, project in self.projections.items()}
        shared = [self.shared(vector) for vector in projected.values()]
        private = [self.private[name](vector) for name, vector in projected.items()]
        parts = torch.stack([*shared, *private], dim=1)
        attended, _ = self.attention(parts, parts, parts, need_weights=False)
        vectors = self.dropout(self.norm(parts + attended).flatten(1))
        losses = self.similarity * similarity_loss(shared) + self.difference * separation_loss(shared, private)
        return Fused(vectors, mean_over_complete(losses, present))


def similarity_loss(shared: Sequence[Tensor]) -> Tensor:
    """Return how far the shared parts are from each other: [B, D] each to [B], 0 where they point the same way."""
    return torch.stack([1 - _cosine(one, other) for one, other in combinations(shared, 2)]).mean(0)


def separation_loss(shared: Sequence[Tensor], private: Sequence[Tensor]) -> Tensor:
    """Return how much parts overlap: [B, D] each to [B], 0 where they are orthogonal.

    Compared are the shared and the private part of each modality, and the private parts with each other.
    """
    pairs = [*zip(shared, private, strict=True), *combinations(private, 2)]
    return torch.stack([_cosine(one, other).square() for one, other in pairs]).mean(0)


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return torch.cosine_similarity(one.float(), other.float(), dim=-1)
