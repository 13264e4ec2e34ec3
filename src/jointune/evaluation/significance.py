"""Scores of methods and differences between two, with intervals that hold for new posts, trainings and folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jointune.errors import SettingsError
from jointune.evaluation.intervals import Z
from jointune.evaluation.measures import Measure, as_measure
from jointune.evaluation.variance import (
    ROUNDING,
    Key,
    Run,
    Spread,
    Uncertainty,
    by_key,
    spread_of_difference,
    spread_of_score,
    uncertainties,
)

__all__ = [
    "Difference",
    "Estimate",
    "Run",
    "corrected_resampled_test",
    "estimate",
    "estimates",
    "holm",
    "paired_difference",
    "paired_differences",
]


@dataclass(frozen=True)
class Estimate:
    """A method's score.

    Attributes:
        value: mean over folds of the mean over seeds.
        low: lower end of its 95 % interval.
        high: upper end.
        runs: number of runs.
        basis: a sentence on the variation that the interval holds.
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
        value: mean over folds of the mean over seeds.
        low: lower end of its 95 % interval.
        high: upper end.
        p_value: two-sided, of no difference; not adjusted for several comparisons, see ``holm``.
        runs: number of pairs of runs.
        distinguishable: whether the interval excludes zero and the p-value is below 0.05.
        basis: as in ``Estimate``.
    """

    value: float
    low: float
    high: float
    p_value: float
    runs: int
    distinguishable: bool
    basis: str


def estimate(runs: Sequence[Run], metric: str | Measure, labels: int, groups: np.ndarray | None = None) -> Estimate:
    """Score a method; see ``estimates``."""
    return estimates({"": runs}, metric, labels, groups)[""]


def estimates(
    runs: Mapping[str, Sequence[Run]], metric: str | Measure, labels: int, groups: np.ndarray | None = None
) -> dict[str, Estimate]:
    """Score methods, each with a 95 % interval for its score if it is trained and tested anew.

    The interval is that of ``intervals.score_interval``, as for a single evaluation, with the effective number of
    posts: that of a single evaluation for one training, and less as groups, seeds and folds add to the variance. The
    parts of the variance are those of ``paired_differences``; the variance between seeds or folds, relative to
    value · (1 - value), is pooled over the methods, see ``variance.uncertainties``.

    Args:
        runs: at least one for each method, each fold and seed once; of methods that learn from equally many posts.
        metric: the score: the name of one of confusion matrices, or a measure.
        labels: number of classes.
        groups: int [posts], the group of every post number: posts that share an image or a text depend on each other
            and are of one group. By default every post is its own.

    Raises:
        SettingsError: no runs, a fold and seed that occur twice, or an unknown metric.
    """
    measure = as_measure(metric, labels)
    spreads = {method: spread_of_score(by_key(own), measure, groups) for method, own in runs.items()}
    scored = {}
    for (method, spread), uncertainty in zip(spreads.items(), uncertainties(list(spreads.values())), strict=True):
        low, high = (measure.low, measure.high) if isinstance(measure, Measure) else (0.0, 1.0)
        if not uncertainty.unknown:
            reach = Uncertainty(uncertainty.variances / spread.scale).reach()
            low, high = measure.interval(spread.value, reach, spread.scale)
        scored[method] = Estimate(spread.value, low, high, len(runs[method]), spread.basis)
    return scored


def paired_difference(
    first: Sequence[Run],
    second: Sequence[Run],
    metric: str | Measure,
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
    metric: str | Measure,
    labels: int,
    groups: np.ndarray | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> dict[str, Difference]:
    """Compare a method with others, each on the folds and seeds that both have.

    The 95 % interval is for the expected difference when both methods are trained anew on as many posts of this kind
    and tested on new ones. Its variance depends on the runs:

    - One fold, one seed: ``V``, the variance between test posts, by a bootstrap of groups of posts that is the same for
      both methods (Efron and Tibshirani, 1993, chapter 8). It does not hold the variation of trainings.
    - One fold, S seeds: ``V + s²/S - (V₁ - V)/(S - 1)``, with ``V`` the bootstrap variance of the difference averaged
      over seeds, ``V₁`` that of one seed's difference, and ``s²`` the variance between seeds. All seeds are tested on
      the same posts, so ``s²`` holds the interaction of seed and post, which ``V`` has already; the last term removes
      it. It holds the variation of training posts as far as they were drawn anew for each seed.
    - K folds: ``V + s²/K - V``, with ``s²`` the variance between folds of differences averaged over seeds, which holds
      all of ``V``. Folds share training posts, so they vary too little, by an amount that one cross-validation cannot
      show (Bengio and Grandvalet, 2004); the p-value allows for it, the interval does not.

    The term added to ``V`` is at least zero, and estimated from a few seeds or folds. ``s²`` is therefore pooled over
    the methods, see ``variance.uncertainties``, and the interval averages over the variances that are likely given it:
    a generalized confidence interval (Weerahandi, 1993; Hannig, Iyer and Patterson, 2006). It is Student's if ``s²``
    prevails. With two seeds or folds and no third method it is far too wide: compare with at least three seeds then. A
    single variance with the degrees of freedom of Satterthwaite (1946) would be too narrow.

    If all groups of posts agree, for example because both methods predict the same, the variance is zero. The interval
    is then that of Tango (1998) for paired shares, with the effective number of pairs, and the p-value that of the sign
    test. Otherwise, the p-value is the interval's; with several folds, it is at least that of
    ``corrected_resampled_test``.

    Args:
        first: runs of one method, each fold and seed once.
        others: runs of the others; all methods learn from equally many posts.
        metric: see ``estimates``.
        labels: see ``estimates``.
        groups: see ``estimates``.
        seed: seed of the bootstrap.
        draws: number of its resamples.

    Raises:
        SettingsError: no fold and seed in common, one that occurs twice, test posts or true labels that differ between
            the methods, or an unknown metric.
    """
    pairs = [_shared(by_key(first), by_key(other)) for other in others.values()]
    measure = as_measure(metric, labels)
    spreads = [spread_of_difference(pair, measure, groups, seed, draws) for pair in pairs]
    compared = {}
    for name, pair, spread, uncertainty in zip(others, pairs, spreads, uncertainties(spreads), strict=True):
        low, high, p_value = _interval_and_p_value(spread, uncertainty, measure.width)
        if len(spread.folds) > 1:
            p_value = max(p_value, corrected_resampled_test(spread.folds, spread.test_to_train))
        compared[name] = Difference(
            value=spread.value,
            low=low,
            high=high,
            p_value=p_value,
            runs=len(pair[0]),
            distinguishable=p_value < 0.05 and not low <= 0 <= high,
            basis=spread.basis,
        )
    return compared


def corrected_resampled_test(differences: np.ndarray, test_to_train: float) -> float:
    """Return the two-sided p-value of the corrected resampled t-test.

    Equation 9 of Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52: the variance
    of the mean is ``(1/K + test/train) · s²``, with K - 1 degrees of freedom.

    Args:
        differences: one per fold, float [K], K at least 2.
        test_to_train: number of test posts of a fold, divided by that of training posts.

    Returns:
        The p-value; 1 if the folds do not vary at all, since their variance is unknown then.
    """
    from scipy.special import stdtr  # type: ignore[import-untyped]

    count = len(differences)
    variance = (1 / count + test_to_train) * float(np.var(differences, ddof=1))
    if variance <= ROUNDING:
        return 1.0
    return float(2 * stdtr(count - 1, -abs(float(np.mean(differences))) / np.sqrt(variance)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number: with those below 0.05, the risk of any false one is at most 5 %.

    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    """
    adjusted, greatest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = greatest
    return adjusted


def _shared(first: dict[Key, Run], second: dict[Key, Run]) -> tuple[dict[Key, Run], dict[Key, Run]]:
    """Return the runs of both methods that have a fold and seed in common, after checking that posts are the same."""
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise SettingsError(
            "The methods have no fold and seed in common, so they cannot be compared in pairs",
            "train both with the same folds and seeds",
        )
    for key in shared:
        one, other = first[key], second[key]
        order, other_order = np.argsort(one.posts), np.argsort(other.posts)
        same = np.array_equal(one.posts[order], other.posts[other_order])
        if not same or not np.array_equal(one.truth[order], other.truth[other_order]):
            raise SettingsError(
                f"The methods were tested on different posts or labels in fold {one.fold}, seed {one.seed}",
                "test both on the same posts",
            )
    return {key: first[key] for key in shared}, {key: second[key] for key in shared}


def _interval_and_p_value(spread: Spread, uncertainty: Uncertainty, width: float) -> tuple[float, float, float]:
    if spread.groups > 1 and uncertainty.none:
        # Without a greatest difference, nothing but the difference itself says how large it can be.
        most = width if np.isfinite(width) else abs(spread.value)
        reach = (most + abs(spread.value)) * Z**2 / (spread.effective + Z**2)
        p_value = min(1.0, 2.0 ** (1 - spread.groups)) if spread.value else 1.0
    elif uncertainty.unknown:
        return -width, width, 1.0
    else:
        reach, p_value = uncertainty.reach(), uncertainty.p_value(abs(spread.value))
    return max(spread.value - reach, -width), min(spread.value + reach, width), p_value
