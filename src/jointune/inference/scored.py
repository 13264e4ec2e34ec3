"""Posts that were scored, and what scores them."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.errors import SettingsError, setting
from jointune.evaluation.unlike import Unlikeness
from jointune.modalities.batch import Batch

LOGITS = "logits"
"""The name under which ``Vectors`` gives the logits."""


Vectors = Callable[[Iterable[Batch], int, Collection[str]], dict[str, np.ndarray]]
"""Batches, the number of their posts, and names of vectors to these, float32 [N, D], by the batches' indices.

The names are ``joint``, modalities, those of ``summary_of``, and ``logits``. A post that lacks a modality has any
numbers in its row.
"""

Probabilities = Callable[[Iterable[Batch], int], np.ndarray]
"""Batches and the number of their posts to probabilities, float32 [N, C], by the batches' indices."""


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


def check_vector(of: str, names: Collection[str]) -> None:
    """Check that a model has a vector.

    Raises:
        SettingsError: it has none of this name; ``names`` are those it has.
    """
    if of not in names:
        have = f"choose one of {', '.join(names)}" if names else "use a model that jointune trained"
        raise SettingsError(f"{setting('of', of)}: the model has no such vector", have, setting="of")


@dataclass(frozen=True)
class PreparedChunk:
    """The batches of a chunk, and the rest of ``ScoredChunk``."""

    read: int
    kept: list[Post]
    batches: list[Batch]
    problems: list[Problem]


def scored_posts(chunks: Iterable[ScoredChunk], problems: list[Problem] | None) -> Iterator[Scored]:
    """Yield the posts of chunks, and collect their problems where a list for them is given."""
    for chunk in chunks:
        if problems is not None:
            problems += chunk.problems
        yield from chunk.scored
