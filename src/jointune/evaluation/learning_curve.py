"""How many labelled posts a method needs, read off learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jointune.errors import SettingsError


@dataclass(frozen=True)
class Curve:
    """Scores of a method by the number of labelled posts it learned from.

    Attributes:
        budgets: numbers of training posts, positive, ascending.
        scores: one per budget, greater is better.
    """

    budgets: Sequence[float]
    scores: Sequence[float]


@dataclass(frozen=True)
class Saving:
    """What the next-best method needs for the score of the first one.

    Attributes:
        budget: number of training posts of the first method.
        score: what it reaches with them.
        method: the one that needs the fewest; None where none reaches the score.
        needed: number of training posts that it needs.
        relation: how ``needed`` is meant: "=" is read off the curve; "<=" is no more than this, its smallest budget;
            ">" is more than this, the largest budget that every other method was tried with.
        ratio: ``needed`` divided by ``budget``, meant likewise; above 1 the first method saves posts.
    """

    budget: float
    score: float
    method: str | None
    needed: float
    relation: Literal["=", "<=", ">"]
    ratio: float


def posts_needed(budgets: Sequence[float], scores: Sequence[float], target: float) -> float | None:
    """Number of training posts from which a learning curve reaches a score.

    The score is linear in the logarithm of the budget between budgets. Where a curve falls again, the first budget
    from which the target is reached counts: somebody who labels ever more posts would have met it there.

    Args:
        budgets: numbers of training posts, positive, ascending.
        scores: one per budget.
        target: the score to reach.

    Returns:
        The number, not rounded; the smallest budget where that reaches the target already, so that fewer may do; None
        where no budget does.

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
    """For each budget of a method, the training posts that the next-best method needs to match its score.

    Methods that do not reach the score within their curve count only where none does. Scores are taken as they are:
    whether two of them can be told apart is for ``paired_difference`` to say.

    Args:
        first: curve of the method.
        others: curves of the methods it is compared with, at least one, by name; of several that need equally few, the
            first counts.

    Returns:
        One entry per budget, in their order.

    Raises:
        SettingsError: no other methods, or a curve that is none.
    """
    if not others:
        raise SettingsError("There is no method to compare with: give at least one other learning curve.")
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
