"""Scores of methods, and differences between two, with intervals over posts, trainings and folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jointune.errors import SettingsError
from jointune.evaluation.intervals import Metric, Z, score_interval
from jointune.evaluation.variance import (
    ROUNDING,
    Run,
    Spread,
    Uncertainty,
    by_key,
    spread_of_difference,
    spread_of_score,
    uncertainties,
)


@dataclass(frozen=True)
class Estimate:
    """A method's score.

    Attributes:
        value: mean over folds of the mean over seeds, within 0 to 1.
        low: lower end of its 95 % interval.
        high: upper end.
        runs: number of runs.
        basis: which variation the interval holds, and which not.
    """

    value: float
    low: float
    high: float
    runs: int
    basis: str


@dataclass(frozen=True)
class Difference:
    """The first method's score minus the second's.

    Attributes:
        value: mean over folds of the mean over seeds, within -1 to 1.
        low: lower end of its 95 % interval.
        high: upper end.
        p_value: two-sided, of no difference; not adjusted for several comparisons, see ``holm``.
        runs: number of pairs of runs.
        distinguishable: whether the interval excludes zero and the p-value is below 0.05.
        basis: which variation the interval holds, and which not.
    """

    value: float
    low: float
    high: float
    p_value: float
    runs: int
    distinguishable: bool
    basis: str


def estimate(runs: Sequence[Run], metric: Metric, labels: int, groups: np.ndarray | None = None) -> Estimate:
    """Score a method; see ``estimates``."""
    return estimates({"": runs}, metric, labels, groups)[""]


def estimates(
    runs: Mapping[str, Sequence[Run]], metric: Metric, labels: int, groups: np.ndarray | None = None
) -> dict[str, Estimate]:
    """Score methods, each with a 95 % interval for what it would score if trained and tested anew.

    The interval is that of ``intervals.score_interval``, as it is for the scores of a single evaluation, with as many
    posts as the score varies like: as many as were tested where one training is scored and each post is its own group,
    and the fewer the more groups, seeds and folds add to its variance. The parts of the variance are those of
    ``paired_difference``; the variance between seeds or folds, relative to value · (1 - value), is pooled over the
    methods, see ``spread.uncertainties``. The interval keeps within 0 to 1, has a width at the edge, and grows with the
    number of posts that are right.

    Args:
        runs: of each method, at least one, each fold and seed once; of methods learning from equally many posts.
        metric: what to score.
        labels: number of classes.
        groups: int [posts], the group of every post number; posts that share a picture or a text are of one group, and
            depend on each other. None: every post is its own.

    Raises:
        SettingsError: no runs, a fold and seed that occur twice, or an unknown metric.
    """
    spreads = {method: spread_of_score(by_key(found), metric, labels, groups) for method, found in runs.items()}
    scored = {}
    for (method, spread), found in zip(spreads.items(), uncertainties(list(spreads.values())), strict=True):
        low, high = 0.0, 1.0
        if not found.unknown:
            reach = Uncertainty(found.variances / spread.scale).reach()
            low, high = score_interval(spread.value, (Z / reach) ** 2)
        scored[method] = Estimate(spread.value, low, high, len(runs[method]), spread.basis)
    return scored


def paired_difference(
    first: Sequence[Run],
    second: Sequence[Run],
    metric: Metric,
    labels: int,
    groups: np.ndarray | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> Difference:
    """Compare two methods; see ``paired_differences``."""
    return paired_differences(first, {"": second}, metric, labels, groups, seed, draws)[""]


def paired_differences(
    first: Sequence[Run],
    others: Mapping[str, Sequence[Run]],
    metric: Metric,
    labels: int,
    groups: np.ndarray | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> dict[str, Difference]:
    """Compare a method with others, each on the folds and seeds that both have.

    The 95 % interval is for the expected difference when both methods are trained anew on as many posts of this kind
    and tested on new ones. Its variance depends on what the runs tell:

    - One fold, one seed: ``V``, the variance between test posts, by a bootstrap of groups of posts that is the same for
      both methods (Efron and Tibshirani, 1993, chapter 8). Trainings do not vary in it.
    - One fold, S seeds: ``V + s²/S - (V₁ - V)/(S - 1)``, with ``V`` the bootstrap variance of the difference averaged
      over seeds, ``V₁`` that of one seed's difference, and ``s²`` the variance between seeds. All seeds are tested on
      the same posts, so ``s²`` holds the interaction of seed and post, which ``V`` has already; the last term takes it
      out. Training posts vary in it as far as they were drawn anew for each seed.
    - K folds: ``V + s²/K - V``, with ``s²`` the variance between folds of differences averaged over seeds, which holds
      all of ``V``. Folds learn from common posts, so they vary too little, by an amount that one cross-validation
      cannot tell (Bengio and Grandvalet, 2004); the p-value allows for it, the interval does not.

    What is added to ``V`` is at least zero, and known from a few seeds or folds only. ``s²`` is therefore pooled over
    the methods, see ``spread.uncertainties``, and the interval averages over what the variance may be given it: a
    generalized confidence interval (Weerahandi, 1993; Hannig, Iyer and Patterson, 2006). It is Student's where ``s²``
    prevails, and too wide where it hardly matters, with two seeds or folds and no other method by far: three seeds are
    the least that is worth comparing then. A single variance with the degrees of freedom of Satterthwaite (1946) would
    be too narrow instead.

    Where all groups of posts speak alike, as where both methods predict the same, the variance is none and the interval
    is that of Tango (1998) for paired shares, of as many pairs as the score varies like: other groups might not.

    With one fold, the p-value is the interval's; where all groups speak alike, that of the sign test. With several
    folds, it is the greater one of that and the one of ``corrected_resampled_test``.

    Args:
        first: runs of one method, each fold and seed once.
        others: runs of the others; of methods learning from as many posts.
        metric: what to score.
        labels: number of classes.
        groups: int [posts], the group of every post number; posts that share a picture or a text are of one group, and
            depend on each other. None: every post is its own.
        seed: of the bootstrap.
        draws: number of its resamples.

    Raises:
        SettingsError: no fold and seed in common, one that occurs twice, test posts or true labels that differ between
            the methods, or an unknown metric.
    """
    spreads, runs = [], []
    for other in others.values():
        sides = _shared(by_key(first), by_key(other))
        spreads.append(spread_of_difference(sides, metric, labels, groups, seed, draws))
        runs.append(len(sides[0]))
    compared = {}
    for name, spread, found, count in zip(others, spreads, uncertainties(spreads), runs, strict=True):
        low, high, p_value = _around_zero(spread, found)
        if len(spread.folds) > 1:
            p_value = max(p_value, corrected_resampled_test(spread.folds, spread.test_to_train))
        compared[name] = Difference(
            value=spread.value,
            low=low,
            high=high,
            p_value=p_value,
            runs=count,
            distinguishable=p_value < 0.05 and not low <= 0 <= high,
            basis=spread.basis,
        )
    return compared


def corrected_resampled_test(differences: np.ndarray, test_to_train: float) -> float:
    """Two-sided p-value of the corrected resampled t-test.

    Equation 9 of Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52: the variance
    of the mean is ``(1/K + test/train) · s²``, with K - 1 degrees of freedom.

    Args:
        differences: one per fold, float [K], K at least 2.
        test_to_train: number of test posts of a fold, divided by that of training posts.

    Returns:
        The p-value; 1 where the folds do not vary at all, since nothing is known of their variance then.
    """
    from scipy.special import stdtr  # type: ignore[import-untyped]

    count = len(differences)
    variance = (1 / count + test_to_train) * float(np.var(differences, ddof=1))
    if variance <= ROUNDING:
        return 1.0
    return float(2 * stdtr(count - 1, -abs(float(np.mean(differences))) / np.sqrt(variance)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number: each below 0.05 is so with at most 5 % risk of any false one.

    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.

    Args:
        p_values: of several methods against one.

    Returns:
        Adjusted p-values in the same order.
    """
    adjusted, greatest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = greatest
    return adjusted


Sides = tuple[dict[tuple[int, int], Run], dict[tuple[int, int], Run]]


def _shared(first: dict[tuple[int, int], Run], second: dict[tuple[int, int], Run]) -> Sides:
    """The runs of both methods that have a fold and seed in common, checked to be on the same posts."""
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise SettingsError(
            "The methods have no fold and seed in common, so they cannot be compared in pairs: "
            "train both with the same folds and seeds."
        )
    for key in shared:
        _check_same_posts(first[key], second[key])
    return {key: first[key] for key in shared}, {key: second[key] for key in shared}


def _check_same_posts(first: Run, second: Run) -> None:
    one, other = np.argsort(first.posts), np.argsort(second.posts)
    same = np.array_equal(first.posts[one], second.posts[other])
    if not same or not np.array_equal(first.truth[one], second.truth[other]):
        raise SettingsError(
            f"The methods were tested on different posts or labels in fold {first.fold}, seed {first.seed}: "
            "test both on the same posts."
        )


def _around_zero(spread: Spread, found: Uncertainty) -> tuple[float, float, float]:
    if spread.groups > 1 and found.none:
        reach = (1 + abs(spread.value)) * Z**2 / (spread.effective + Z**2)
        p_value = min(1.0, 2.0 ** (1 - spread.groups)) if spread.value else 1.0
    elif found.unknown:
        return -1.0, 1.0, 1.0
    else:
        reach, p_value = found.reach(), found.p_value(abs(spread.value))
    return max(spread.value - reach, -1.0), min(spread.value + reach, 1.0), p_value
