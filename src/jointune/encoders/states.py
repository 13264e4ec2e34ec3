"""What every encoder gives and every fusion takes."""

from typing import NamedTuple

from torch import Tensor


class States(NamedTuple):
    """A sequence of states and their summary.

    Attributes:
        tokens: one state a token or patch, float [B, L, D].
        mask: which of them are real, bool [B, L].
        pooled: one vector a post, float [B, D].
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
