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


def mean_over_complete(losses: Tensor, present: Tensor) -> Tensor:
    """Return the loss of a batch, counting only posts that have all modalities: zero, with a graph, where none has.

    Args:
        losses: one a post, float [B].
        present: bool [B, M].

    Returns:
        Their sum over the number of all posts, so that a batch in parts gives the same as a whole one.
    """
    return (losses * present.all(1)).mean()
