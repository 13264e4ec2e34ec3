"""What a fusion with a loss of its own gives."""

from typing import NamedTuple

from torch import Tensor


class Fused(NamedTuple):
    """Joint vectors and a loss that training adds to that of the labels.

    Attributes:
        vectors: one joint vector a post, float [B, J].
        loss: the fusion's own loss, already weighted, a scalar.
    """

    vectors: Tensor
    loss: Tensor
