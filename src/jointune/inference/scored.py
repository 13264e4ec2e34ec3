"""Posts that were scored."""

from dataclasses import dataclass

import numpy as np

from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.evaluation.unlike import Unlikeness


@dataclass(frozen=True)
class Scored:
    """A post that was scored.

    Attributes:
        post: the post.
        probabilities: of the labels, or another answer of the target, float32 [C]; or a vector of the post, float32
            [D]; see ``Predictor.chunks``.
        held: the modalities that the model was given of it, as ``presence`` names them.
        unlike: how unlike the training posts it is, if that was asked for.
    """

    post: Post
    probabilities: np.ndarray
    held: str = ""
    unlike: Unlikeness | None = None


@dataclass(frozen=True)
class ScoredChunk:
    """Posts that were scored together.

    The end of a chunk follows from its posts alone. So whoever reads on after it gets the same chunks, and the same
    numbers to the last bit, as whoever read from the beginning.

    Attributes:
        read: how many posts were read for it.
        scored: those of them that can be used, in order.
        problems: what was wrong with posts that were skipped or scored without their image.
    """

    read: int
    scored: list[Scored]
    problems: list[Problem]
