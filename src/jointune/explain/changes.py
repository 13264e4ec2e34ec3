"""What would change an answer: the fewest parts of a post whose removal does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jointune.targets.target import Target

Mask = np.ndarray
"""Parts to remove, bool [P]."""


@dataclass(frozen=True)
class Change:
    """Parts that change the answer where they are removed.

    Attributes:
        removed: the numbers of the parts, the most important first.
        answer: after that, float [C].
    """

    removed: tuple[int, ...]
    answer: np.ndarray


def fewest_removed(
    importance: np.ndarray, answer: np.ndarray, score: Callable[[Sequence[Mask]], np.ndarray], target: Target
) -> Change | None:
    """Find few parts whose removal changes the answer.

    Parts are removed in the order of their importance until the answer changes, and then put back one by one, the least
    important first, where it stays changed (after Martens and Provost, 2014).

    Args:
        importance: of each part for the answer, float [P].
        answer: with all parts, float [C].
        score: returns the answers where the parts of each mask are removed, float [N, C].
        target: tells whether two answers are the same.

    Returns:
        The parts; None where not even the removal of all in this order changes the answer.
    """
    order = np.argsort(-importance, kind="stable").tolist()

    def mask(removed: Sequence[int]) -> Mask:
        return np.isin(np.arange(len(importance)), removed)

    def changed(rows: np.ndarray) -> np.ndarray:
        return ~target.same(rows, np.repeat(answer[None], len(rows), axis=0))

    # Fine steps first: few parts are found exactly, and long texts take no more answers than short ones.
    sizes = sorted({*range(1, min(len(order), 8) + 1), *np.geomspace(8, max(len(order), 8), 8).astype(int).tolist()})
    sizes = [size for size in sizes if size <= len(order)]
    if not sizes:
        return None
    flips = changed(score([mask(order[:size]) for size in sizes]))
    if not flips.any():
        return None
    removed = order[: sizes[int(flips.argmax())]]
    for part in removed[::-1]:
        fewer = [other for other in removed if other != part]
        if fewer and changed(score([mask(fewer)]))[0]:
            removed = fewer
    return Change(tuple(removed), score([mask(removed)])[0])
