"""Scores of methods, and differences between two, with intervals over posts, trainings and folds."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jointune.errors import SettingsError
from jointune.evaluation.intervals import f1_scores

Metric = Literal["accuracy", "macro_f1", "weighted_f1"]

# Equal scores differ by rounding once they are averaged; a variance below this is none.
_ROUNDING = 1e-24


@dataclass(frozen=True)
class Run:
    """One trained model's predictions on the test posts of one fold.

    Attributes:
        fold: number of the division into training and test posts.
        seed: of the training; runs of two methods are paired by fold and seed.
        posts: numbers of the test posts, int [N], each once, the same for every method in the same fold.
        truth: class numbers, int [N].
        predicted: class numbers, int [N].
        learned: number of training posts.
    """

    fold: int
    seed: int
    posts: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    learned: int


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


def estimate(
    runs: Sequence[Run],
    metric: Metric,
    labels: int,
    groups: np.ndarray | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> Estimate:
    """Score a method, with a 95 % interval for what it would score if trained and tested anew.

    The interval is that of ``paired_difference``, with the same parts of variance, but on the logit scale: this keeps
    it within 0 to 1 and its two sides equally often wrong. Where every prediction is right, or every one wrong, it is
    that of Clopper and Pearson (1934) with the groups as trials.

    Args:
        runs: of one method, at least one, each fold and seed once.
        metric: what to score.
        labels: number of classes.
        groups: int [posts], the group of every post number; posts that share a picture or a text are of one group, and
            depend on each other. None: every post is its own.
        seed: of the bootstrap.
        draws: number of its resamples.

    Raises:
        SettingsError: no runs, a fold and seed that occur twice, or an unknown metric.
    """
    found = _spread([_by_key(runs)], metric, labels, groups, seed, draws)
    low, high = _within_unit(found)
    return Estimate(found.value, low, high, len(runs), found.basis)


def paired_difference(
    first: Sequence[Run],
    second: Sequence[Run],
    metric: Metric,
    labels: int,
    groups: np.ndarray | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> Difference:
    """Compare two methods on the folds and seeds that both have.

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

    What is added to ``V`` is at least zero, and known from a few seeds or folds only. The interval therefore averages
    over what it may be given ``s²``: a generalized confidence interval (Weerahandi, 1993; Hannig, Iyer and Patterson,
    2006). It is Student's where ``s²`` prevails, and too wide where it hardly matters, with two seeds or folds by far:
    three seeds are the least that is worth comparing. A single variance with the degrees of freedom of Satterthwaite
    (1946) would be too narrow instead.

    With one fold, the p-value is the interval's. With several, it is the greater one of the interval's and that of
    ``corrected_resampled_test``.

    Args:
        first: runs of one method, each fold and seed once.
        second: runs of the other.
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
    by_first, by_second = _by_key(first), _by_key(second)
    shared = sorted(by_first.keys() & by_second.keys())
    if not shared:
        raise SettingsError(
            "The methods have no fold and seed in common, so they cannot be compared in pairs: "
            "train both with the same folds and seeds."
        )
    for key in shared:
        _check_same_posts(by_first[key], by_second[key])
    sides = [{key: side[key] for key in shared} for side in (by_first, by_second)]
    found = _spread(sides, metric, labels, groups, seed, draws)
    low, high, p_value = _around_zero(found)
    if len(found.folds) > 1:
        p_value = max(p_value, corrected_resampled_test(found.folds, found.test_to_train))
    return Difference(
        value=found.value,
        low=low,
        high=high,
        p_value=p_value,
        runs=len(shared),
        distinguishable=p_value < 0.05 and not low <= 0 <= high,
        basis=found.basis,
    )


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
    if variance <= _ROUNDING:
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


@dataclass(frozen=True)
class _Spread:
    """A mean over folds, and how far it may be off.

    Attributes:
        value: the mean.
        variances: equally likely values of its squared standard error, float [M]; all zero where nothing varies, and
            infinite where this cannot be estimated.
        freedom: degrees of freedom of the part that test posts have in them.
        groups: number of groups of test posts.
        folds: mean over seeds in each fold, float [K].
        test_to_train: number of test posts of a fold, divided by that of training posts.
        basis: what varies in it.
    """

    value: float
    variances: np.ndarray
    freedom: float
    groups: int
    folds: np.ndarray
    test_to_train: float
    basis: str

    def p_value(self, distance: float) -> float:
        """How likely the mean is off by at least ``distance``."""
        from scipy.special import stdtr

        return float(2 * stdtr(self.freedom, -distance / np.sqrt(self.variances)).mean())

    def reach(self) -> float:
        """The distance that the mean exceeds in 5 % of cases."""
        from scipy.optimize import brentq  # type: ignore[import-untyped]
        from scipy.special import stdtrit

        farthest = -stdtrit(self.freedom, 0.025) * np.sqrt(self.variances.max())
        if self.p_value(farthest) >= 0.05:
            return float(farthest)
        return float(brentq(lambda distance: self.p_value(distance) - 0.05, 0.0, farthest, rtol=1e-9))


def _by_key(runs: Sequence[Run]) -> dict[tuple[int, int], Run]:
    keyed = {(run.fold, run.seed): run for run in runs}
    if not runs:
        raise SettingsError("There are no runs to score: give at least one.")
    if len(keyed) < len(runs):
        raise SettingsError("A fold and seed occur twice among the runs of a method: keep one run of each.")
    return keyed


def _check_same_posts(first: Run, second: Run) -> None:
    one, other = np.argsort(first.posts), np.argsort(second.posts)
    same = np.array_equal(first.posts[one], second.posts[other])
    if not same or not np.array_equal(first.truth[one], second.truth[other]):
        raise SettingsError(
            f"The methods were tested on different posts or labels in fold {first.fold}, seed {first.seed}: "
            "test both on the same posts."
        )


def _spread(
    sides: list[dict[tuple[int, int], Run]],
    metric: Metric,
    labels: int,
    groups: np.ndarray | None,
    seed: int,
    draws: int,
) -> _Spread:
    """The mean score of the first side, less that of the second where there is one.

    Groups are resampled over all folds at once rather than within each: this is the same where no post or group is in
    the tests of two folds, and right where some are, as in repeated cross-validation.
    """
    keys = sorted(sides[0])
    runs = [sides[0][key] for key in keys]
    numbers = np.unique(np.concatenate([run.posts for run in runs]))
    kept = np.unique(numbers if groups is None else groups[numbers])
    times = _resample(len(kept), seed, draws)
    score, drawn, pull = np.zeros(len(keys)), np.zeros((len(keys), draws)), np.zeros((len(keys), len(kept)))
    for sign, side in zip((1, -1), sides, strict=False):
        for place, key in enumerate(keys):
            run = side[key]
            group = np.searchsorted(kept, run.posts if groups is None else groups[run.posts])
            counts = _count_by_group(run, group, len(kept), labels)
            here = np.flatnonzero(counts.any(1))
            whole = counts.sum(0)
            plain = _scores(whole[None], metric, labels)[0]
            score[place] += sign * plain
            drawn[place] += sign * _scores(times[:, here] @ counts[here], metric, labels)
            # Leaving a group out tells its influence; a fold of one group has nothing left then.
            pull[place, here] += sign * np.nan_to_num(plain - _scores(whole - counts[here], metric, labels))
    # A matrix that takes the mean over seeds in each fold: float [K, runs].
    fold = np.array([key[0] for key in keys])
    mean = (np.unique(fold)[:, None] == fold).astype(np.float64)
    mean /= mean.sum(1, keepdims=True)
    per_fold = mean @ score
    small = len(kept) / max(len(kept) - 1, 1)
    posts = small * _variance((mean @ drawn).mean(0)) if len(kept) > 1 else np.inf
    if len(per_fold) > 1:
        variances = _add_between(posts, per_fold, posts)
    else:
        each = small * float(np.mean([_variance(one) for one in drawn]))
        variances = _add_between(posts, score, (each - posts) / max(len(keys) - 1, 1))
    tested = float(np.mean([len(run.posts) for run in runs]))
    # Few labels picked from all training posts of a fold are shared between folds no more often than all are.
    learned = max(float(np.mean([run.learned for run in runs])), len(numbers) - tested)
    return _Spread(
        value=float(per_fold.mean()),
        variances=variances,
        freedom=_freedom_of_posts((mean @ pull).mean(0)),
        groups=len(kept),
        folds=per_fold,
        test_to_train=tested / max(learned, 1.0),
        basis=_basis(len(per_fold), len(keys)),
    )


def _add_between(posts: float, scores: np.ndarray, contained: float) -> np.ndarray:
    """What the variance of a mean may be, given that of its posts and the scores that it averages.

    Their variance, divided by the true one, is chi-square; its quantiles give equally likely true ones.

    Args:
        posts: variance of the mean due to test posts.
        scores: of each seed or fold, float [n].
        contained: part of the scores' variance, divided by n, that ``posts`` holds already.

    Returns:
        Equally likely variances, float [M]; one where there is a single score.
    """
    from scipy.special import chdtri

    if len(scores) < 2 or not np.isfinite(posts):
        return np.array([posts])
    quantiles = chdtri(len(scores) - 1, (np.arange(200) + 0.5) / 200)
    squares = float(((scores - scores.mean()) ** 2).sum()) / len(scores)
    return posts + np.maximum(squares / quantiles - contained, 0)


@functools.lru_cache(maxsize=4)
def _resample(groups: int, seed: int, draws: int) -> np.ndarray:
    """How often each group is drawn when as many are drawn as there are, with replacement: float [draws, groups].

    The same for all methods of a fold; not to be written to.
    """
    chosen = np.random.default_rng(seed).integers(0, groups, (draws, groups)) + groups * np.arange(draws)[:, None]
    times = np.bincount(chosen.ravel(), minlength=draws * groups).reshape(draws, groups).astype(np.float64)
    times.flags.writeable = False
    return times


def _count_by_group(run: Run, group: np.ndarray, groups: int, labels: int) -> np.ndarray:
    """Confusion matrix of each group's posts, flat: float [groups, labels²]."""
    cell = (group * labels + run.truth) * labels + run.predicted
    return np.bincount(cell, minlength=groups * labels**2).reshape(groups, labels**2).astype(np.float64)


def _scores(flat: np.ndarray, metric: Metric, labels: int) -> np.ndarray:
    """Score of each flat confusion matrix, float [M]; NaN where one is empty."""
    # A resample may hold no post of a small fold; such draws are left out of the variance.
    with np.errstate(invalid="ignore"):
        if metric == "accuracy":
            return flat[:, :: labels + 1].sum(1) / flat.sum(1)
        if metric in ("macro_f1", "weighted_f1"):
            return f1_scores(flat.reshape(-1, labels, labels))[0 if metric == "macro_f1" else 1]
    raise SettingsError(f"There is no metric '{metric}': use accuracy, macro_f1 or weighted_f1.")


def _variance(draws: np.ndarray) -> float:
    kept = draws[np.isfinite(draws)]
    return float(kept.var(ddof=1)) if len(kept) > 1 else np.inf


def _freedom_of_posts(pull: np.ndarray) -> float:
    """Degrees of freedom of a variance between posts, from the influence of each group.

    A variance estimated from G values has ``2 G / (kurtosis - 1)`` (Satterthwaite, 1946, with the variance of a sample
    variance). Few posts that decide, as where two methods differ on five posts or a class is rare, give few.

    Args:
        pull: what the score loses without each group, float [G].
    """
    pull = pull - pull.mean()
    second, fourth = float((pull**2).mean()), float((pull**4).mean())
    most = max(len(pull) - 1, 1)
    if fourth <= second**2:
        return float(most)
    return float(np.clip(2 * len(pull) * second**2 / (fourth - second**2), 1, most))


def _within_unit(found: _Spread) -> tuple[float, float]:
    value = found.value
    if value in (0, 1) and not np.any(found.variances > _ROUNDING):
        edge = 0.025 ** (1 / found.groups)
        return (edge, 1.0) if value == 1 else (0.0, 1 - edge)
    if value in (0, 1) or _is_unknown(found):
        return 0.0, 1.0
    factor = np.exp(min(found.reach() / (value * (1 - value)), 700.0))
    odds = value / (1 - value)
    return float(odds / (odds + factor)), float(odds / (odds + 1 / factor))


def _around_zero(found: _Spread) -> tuple[float, float, float]:
    if found.value == 0 and not np.any(found.variances > 0):
        return 0.0, 0.0, 1.0
    if _is_unknown(found):
        return -1.0, 1.0, 1.0
    reach = found.reach()
    return max(found.value - reach, -1.0), min(found.value + reach, 1.0), found.p_value(abs(found.value))


def _is_unknown(found: _Spread) -> bool:
    """Whether the variance cannot be told, as where all posts agree on a difference: others might not."""
    return not np.isfinite(found.variances).all() or found.variances.min() <= _ROUNDING


def _basis(folds: int, runs: int) -> str:
    if folds > 1:
        return (
            f"{runs} trainings over {folds} folds: the interval holds the variation between test posts and between "
            "folds, not that folds learn from common posts, which only the p-value of a difference allows for"
        )
    if runs > 1:
        return (
            f"{runs} trainings on one division of the posts: the interval holds the variation between test posts and "
            "between seeds, with the draws of training posts where labels are limited, not that of the division"
        )
    return "one training: the interval holds the variation between test posts only, not that between trainings"
