"""The output of every encoder, which fusions take."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


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
