"""The output of every encoder, which fusions take."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class EncoderOutput(NamedTuple):
    """A sequence of states, and vectors that summarise it.

    Attributes:
        tokens: one state for each token or patch, float [B, L, D].
        mask: which of them are real, bool [B, L].
        pooled: one vector for each post, float [B, D].
        hidden: pooled states of lower layers, side by side, float [B, E]; None if none are used.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    hidden: Tensor | None = None

    @property
    def summary(self) -> Tensor:
        """``pooled`` and ``hidden`` side by side, float [B, D + E]."""
        return self.pooled if self.hidden is None else torch.cat([self.pooled, self.hidden], dim=-1)


def join_items(output: EncoderOutput, items: Tensor, weights: Tensor) -> EncoderOutput:
    """Join the outputs for several items of each post, such as images, to one a post.

    Their tokens become one sequence. The pooled and hidden vectors are averaged with the weights
    ``softmax(w . LayerNorm(pooled) / sqrt(D))`` over the items of a post, as in attention-based pooling of instances
    (Ilse et al., 2018, arXiv 1802.04712): a plain mean where ``w`` is zero. The order of the items does not count.

    Args:
        output: for I items.
        items: the places of each post's items, int64 [B, K]; -1 behind the last one.
        weights: ``w``, float [D].
    """
    own = items >= 0
    places = items.clamp(min=0)
    normalised = nn.functional.layer_norm(output.pooled.float(), weights.shape)
    scores = (normalised * weights.float()).sum(-1)[places] / math.sqrt(weights.shape[0])
    shares = scores.masked_fill(~own, -math.inf).softmax(-1).unsqueeze(-1)

    def joined(vectors: Tensor) -> Tensor:
        return (vectors[places] * shares.to(vectors.dtype)).sum(1)

    return EncoderOutput(
        output.tokens[places].flatten(1, 2),
        (output.mask[places] & own.unsqueeze(-1)).flatten(1, 2),
        joined(output.pooled),
        None if output.hidden is None else joined(output.hidden),
    )


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Average the real tokens, float [B, L, D] and bool [B, L] to [B, D]; zeros if there are none."""
    weights = mask.to(tokens.dtype).unsqueeze(-1)
    return (tokens * weights).sum(1) / weights.sum(1).clamp(min=torch.finfo(tokens.dtype).tiny)


def last_states(output: Any) -> Tensor:
    """Return the last states in whatever a foreign model returns.

    It may be an object or a mapping with them, a tuple that begins with them, a list of maps that ends with them, or
    the tensor itself.

    Raises:
        TypeError: there are none.
    """
    if isinstance(output, Tensor):
        return output
    states = getattr(output, "last_hidden_state", None)
    if states is not None:
        return last_states(states)
    if isinstance(output, list | tuple) and output:
        return last_states(output[0 if isinstance(output, tuple) else -1])
    if isinstance(output, Mapping) and output:
        return last_states(next(iter(output.values())))
    raise TypeError(f"it returns a {type(output).__name__} without states")
