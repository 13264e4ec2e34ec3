"""Read the number of labelled posts that a method needs off learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jointune.errors import SettingsError


@dataclass(frozen=True)
class Curve:
    """The scores of a method by its number of training posts.

    Attributes:
        budgets: numbers of training posts, positive, ascending.
        scores: one for each budget; greater is better.
    """

    budgets: Sequence[float]
    scores: Sequence[float]


@dataclass(frozen=True)
class Saving:
    """The training posts that the next-best method needs for the score of the first one.

    Attributes:
        budget: number of training posts of the first method.
        score: its score with them.
        method: the method that needs the fewest; None if none reaches the score.
        needed: number of training posts that it needs.
        relation: the meaning of ``needed`` and ``ratio``: "=" is read off the curve; "<=" is at most this, its smallest
            budget; ">" is more than this, the largest budget that every other method was tried with.
        ratio: ``needed`` divided by ``budget``; above 1 the first method saves posts.
    """

    budget: float
    score: float
    method: str | None
    needed: float
    relation: Literal["=", "<=", ">"]
    ratio: float


def posts_needed(budgets: Sequence[float], scores: Sequence[float], target: float) -> float | None:
    """Return the number of training posts at which a learning curve first reaches a score, not rounded.

    The score is linear in the logarithm of the budget between budgets.

    Args:
        budgets: see ``Curve``.
        scores: see ``Curve``.
        target: the score to reach.

    Returns:
        The number; the smallest budget if that reaches the target already; None if no budget does.

    Raises:
        SettingsError: no budgets, not as many scores, or budgets that are not positive and ascending.
    """
    sizes, reached = np.asarray(budgets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if not len(sizes) or sizes.shape != reached.shape or sizes[0] <= 0 or (np.diff(sizes) <= 0).any():
        raise SettingsError("A learning curve needs positive, ascending budgets and one score for each of them.")
    enough = np.flatnonzero(reached >= target)
    if not len(enough):
        return None
    after = int(enough[0])
    if after == 0:
        return float(sizes[0])
    share = (target - reached[after - 1]) / (reached[after] - reached[after - 1])
    low, high = np.log2(sizes[after - 1 : after + 1])
    return float(2 ** (low + share * (high - low)))


def posts_saved(first: Curve, others: Mapping[str, Curve]) -> list[Saving]:
    """Return, for each budget of a method, the training posts that the next-best method needs to match its score.

    Scores are taken as they are; see ``paired_difference`` for whether two of them differ. Of several methods that need
    equally few, the first counts.

    Args:
        first: the curve of the method.
        others: the curves of the other methods by name, at least one.

    Raises:
        SettingsError: no other methods, or a curve that is not valid.
    """
    if not others:
        raise SettingsError("There is no method to compare with", "give at least one other learning curve")
    posts_needed(first.budgets, first.scores, np.inf)
    return [_saving(budget, score, others) for budget, score in zip(first.budgets, first.scores, strict=True)]


def _saving(budget: float, score: float, others: Mapping[str, Curve]) -> Saving:
    needed = {name: posts_needed(curve.budgets, curve.scores, score) for name, curve in others.items()}
    reaching = {name: number for name, number in needed.items() if number is not None}
    if not reaching:
        tried = float(min(curve.budgets[-1] for curve in others.values()))
        return Saving(budget, score, None, tried, ">", tried / budget)
    best = min(reaching, key=lambda name: reaching[name])
    fewest = reaching[best]
    at_once = others[best].scores[0] >= score
    return Saving(budget, score, best, fewest, "<=" if at_once else "=", fewest / budget)
