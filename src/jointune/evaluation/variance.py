"""The variance of a mean score over trainings: the parts of test posts, seeds and folds."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jointune.errors import SettingsError
from jointune.evaluation.intervals import PSEUDO_POSTS, Z
from jointune.evaluation.measures import ConfusionMeasure, Measure

Key = tuple[int, int]
"""Fold and seed of a run."""

Measured = Measure | ConfusionMeasure

ROUNDING = 1e-24
"""A variance below this is rounding, and counts as zero."""

_FROM_OTHERS = 2
"""Degrees of freedom that the trainings of other methods add to a method's own, at most."""


@dataclass(frozen=True)
class Run:
    """Predictions of one trained model on the test posts of one fold.

    Attributes:
        fold: number of the division into training and test posts.
        seed: seed of the training; runs of two methods are paired by fold and seed.
        posts: numbers of the test posts, int [N], each once, the same for every method in the same fold.
        truth: class numbers, int [N], or what another target encodes.
        predicted: likewise.
        learned: number of training posts.
    """

    fold: int
    seed: int
    posts: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    learned: int


@dataclass(frozen=True)
class Spread:
    """A mean over folds, and the parts of its variance.

    Attributes:
        value: the mean.
        posts: the variance due to test posts; infinite if it cannot be estimated.
        scores: the score of each fold, or of each seed if there is one fold, float [n].
        contained: the part of the variance of ``scores``, divided by n, that ``posts`` holds already.
        varies: whether the trainings differ at all.
        freedom: degrees of freedom of ``posts``.
        groups: number of groups of test posts.
        effective: number of groups of which a share would vary as the score does.
        folds: mean over seeds in each fold, float [K].
        test_to_train: number of test posts of a fold, divided by that of training posts.
        basis: a sentence on the variation in it.
        scale: the divisor that makes variances of different methods comparable.
        sums: for a difference on one fold, the sum of both methods' scores by seed; otherwise empty.
    """

    value: float
    posts: float
    scores: np.ndarray
    contained: float
    varies: bool
    freedom: float
    groups: int
    effective: float
    folds: np.ndarray
    test_to_train: float
    basis: str
    scale: float = 1.0
    sums: Sequence[float] = ()

    @property
    def between(self) -> float:
        """The variance between the scores, divided by ``scale``."""
        return float(self.scores.var(ddof=1)) / self.scale


@dataclass(frozen=True)
class Uncertainty:
    """Equally likely variances of a mean.

    Attributes:
        variances: float [M].
        freedom: degrees of freedom of their part that is due to test posts.
    """

    variances: np.ndarray
    freedom: float = np.inf

    @property
    def none(self) -> bool:
        """Whether nothing varies."""
        return not np.any(self.variances > ROUNDING)

    @property
    def unknown(self) -> bool:
        """Whether the variance is unknown."""
        return not np.isfinite(self.variances).all() or float(self.variances.min()) <= ROUNDING

    def p_value(self, distance: float) -> float:
        """Return the chance that the mean is off by at least ``distance``."""
        from scipy.special import ndtr, stdtr  # type: ignore[import-untyped]

        steps = -distance / np.sqrt(self.variances)
        return float(2 * (ndtr(steps) if np.isinf(self.freedom) else stdtr(self.freedom, steps)).mean())

    def reach(self) -> float:
        """Return the distance that the mean exceeds in 5 % of cases."""
        deviation = float(np.sqrt(self.variances.max()))
        if np.isinf(self.freedom):
            farthest = Z * deviation
        else:
            from scipy.special import stdtrit

            farthest = float(-stdtrit(self.freedom, 0.025) * deviation)
        if len(self.variances) == 1 or self.p_value(farthest) >= 0.05:
            return farthest
        from scipy.optimize import brentq  # type: ignore[import-untyped]

        return float(brentq(lambda distance: self.p_value(distance) - 0.05, 0.0, farthest, rtol=1e-9))


def by_key(runs: Sequence[Run]) -> dict[Key, Run]:
    """Return the runs of a method by fold and seed.

    Raises:
        SettingsError: there are none, or a fold and seed occur twice.
    """
    keyed = {(run.fold, run.seed): run for run in runs}
    if not runs:
        raise SettingsError("There are no runs to score", "give at least one")
    if len(keyed) < len(runs):
        raise SettingsError("A fold and seed occur twice among the runs of a method", "keep one run of each")
    return keyed


def spread_of_score(runs: dict[Key, Run], measure: Measured, groups: np.ndarray | None) -> Spread:
    """Return the spread of a method's mean score, by the delta method with pseudo-posts.

    Without groups and with one run, the variance is that of ``intervals.effective_posts``. Pseudo-posts come in groups
    of the mean size, and are the same for all seeds of a fold.
    """
    plan = _Plan(runs, groups)
    folds = len(plan.mean)
    score, smooth = np.zeros(len(plan.runs)), np.zeros(len(plan.runs))
    influence, pseudo = np.zeros((len(plan.runs), plan.groups)), np.zeros(len(plan.runs))
    for place, (run, group) in enumerate(zip(plan.runs, plan.of_posts, strict=True)):
        sums = measure.by_group(run.truth, run.predicted, group, plan.groups)
        whole, posts = sums.sum(0), float(len(run.posts))
        score[place] = measure.of(whole[None])[0]
        smooth[place], slopes, of_pseudo, total = measure.smooth(whole, posts, PSEUDO_POSTS / folds)
        squared = posts * total
        influence[place] = sums @ slopes / np.sqrt(squared)
        group_size = posts / len(np.unique(group))
        pseudo[place] = group_size * of_pseudo / squared
    tested = len(plan.numbers)
    correction = plan.groups / max(plan.groups - 1, 1) * (tested - 1) / max(tested, 1) if plan.groups < tested else 1.0
    of_mean = correction * float(
        ((plan.mean @ influence).mean(0) ** 2).sum() + ((plan.mean @ np.sqrt(pseudo)) ** 2).sum() / folds**2
    )
    of_each = correction * float(((influence**2).sum(1) + pseudo).mean())
    value = float((plan.mean @ smooth).mean())
    scale = measure.scale(value)
    predictions = sum(len(run.posts) for run in plan.runs)
    of_mean = np.inf if plan.groups == 1 < tested else max(of_mean, measure.least_variance * scale / predictions)
    return plan.spread(score, of_mean, of_each, scale=scale, effective=scale / of_mean)


def spread_of_difference(
    methods: Sequence[dict[Key, Run]], measure: Measured, groups: np.ndarray | None, seed: int, draws: int
) -> Spread:
    """Return the spread of the mean score of the first method less that of the second, by the bootstrap.

    Groups are resampled over all folds at once. This is the same as within each fold if no post or group is in the
    tests of two folds, and right if some are, as in repeated cross-validation.
    """
    plan = _Plan(methods[0], groups)
    times = _resample(plan.groups, seed, draws)
    score, total, drawn = np.zeros(len(plan.runs)), np.zeros(len(plan.runs)), np.zeros((len(plan.runs), draws))
    influence, tested = np.zeros((len(plan.runs), plan.groups)), []
    for sign, runs in zip((1, -1), methods, strict=True):
        for place, (key, group) in enumerate(zip(plan.keys, plan.of_posts, strict=True)):
            run = runs[key]
            if not np.array_equal(run.posts, plan.runs[place].posts):
                group = plan.group_of(run)
            sums = measure.by_group(run.truth, run.predicted, group, plan.groups)
            own = np.unique(group)
            whole = sums.sum(0)
            plain = measure.of(whole[None])[0]
            score[place] += sign * plain
            total[place] += plain
            tested.append(whole)
            drawn[place] += sign * measure.of(times[:, own] @ sums[own])
            # The influence of a group is the score without it, which a fold of one group does not have.
            influence[place, own] += sign * np.nan_to_num(plain - measure.of(whole - sums[own]))
    correction = plan.groups / max(plan.groups - 1, 1)
    of_mean = correction * _variance((plan.mean @ drawn).mean(0)) if plan.groups > 1 else np.inf
    of_each = correction * float(np.mean([_variance(one) for one in drawn]))
    share = measure.effective_share(np.sum(tested, axis=0))
    return plan.spread(
        score,
        of_mean,
        of_each,
        freedom=_degrees_of_freedom((plan.mean @ influence).mean(0)),
        effective=share * plan.groups,
        sums=total.tolist() if len(plan.mean) == 1 else (),
    )


def uncertainties(spreads: Sequence[Spread]) -> list[Uncertainty]:
    """Return equally likely variances of the mean of each method, trained on the same folds and seeds.

    The variance between a method's own few seeds or folds, divided by the true one, is chi-square; its quantiles give
    equally likely true ones. Two seeds alone show next to nothing of it. The variances of the other methods are
    therefore added with the weight of two degrees of freedom (or as many as there are): their mean, or the method's own
    if this is greater, so that a method that varies more than others stays uncertain. Methods whose trainings never
    differ are left out.

    For the difference of two methods with two or three seeds, without a third method, the variance of the sum of their
    scores is added instead: it is the same if trainings are independent, and greater if both learn from the same few
    posts.
    """
    likely_variances = []
    for spread in spreads:
        freedom = len(spread.scores) - 1
        if not freedom or not np.isfinite(spread.posts):
            likely_variances.append(Uncertainty(np.array([spread.posts]), spread.freedom))
            continue
        from scipy.special import chdtri

        variance = spread.between
        others = [
            (other.between, len(other.scores) - 1)
            for other in spreads
            if other is not spread
            and spread.varies
            and other.varies
            and len(other.scores) > 1
            and (len(other.folds) > 1) == (len(spread.folds) > 1)
        ]
        if not others and spread.varies and len(spread.sums) in (2, 3):
            others = [(float(np.var(spread.sums, ddof=1)), freedom)]
        if others:
            variances, weights = zip(*others, strict=True)
            theirs = float(np.average(variances, weights=weights))
            weight = min(_FROM_OTHERS, sum(weights))
            variance = (freedom * variance + weight * max(variance, theirs)) / (freedom + weight)
            freedom += weight
        quantiles = chdtri(freedom, (np.arange(200) + 0.5) / 200)
        likely = variance * spread.scale * freedom / (quantiles * len(spread.scores))
        variances_of_mean = spread.posts + np.maximum(likely - spread.contained, 0)
        likely_variances.append(Uncertainty(variances_of_mean, spread.freedom))
    return likely_variances


class _Plan:
    """The runs of a method in order, and the group of each of their posts."""

    def __init__(self, runs: dict[Key, Run], groups: np.ndarray | None) -> None:
        self.keys = sorted(runs)
        self.runs = [runs[key] for key in self.keys]
        self.numbers = np.unique(np.concatenate([run.posts for run in self.runs]))
        self._groups = groups
        self._present = np.unique(self.numbers if groups is None else groups[self.numbers])
        self.groups = len(self._present)
        self.of_posts = [self.group_of(run) for run in self.runs]
        # The matrix of the mean over seeds in each fold: float [K, runs].
        fold = np.array([key[0] for key in self.keys])
        mean = (np.unique(fold)[:, None] == fold).astype(np.float64)
        self.mean = mean / mean.sum(1, keepdims=True)

    def group_of(self, run: Run) -> np.ndarray:
        """Return the place of the group of each post, int [N]."""
        return np.searchsorted(self._present, run.posts if self._groups is None else self._groups[run.posts])

    def spread(
        self,
        score: np.ndarray,
        of_mean: float,
        of_each: float,
        effective: float,
        freedom: float = np.inf,
        scale: float = 1.0,
        sums: Sequence[float] = (),
    ) -> Spread:
        """Return the spread of the mean score, from the variances between test posts of the mean and of each run."""
        per_fold = self.mean @ score
        tested = float(np.mean([len(run.posts) for run in self.runs]))
        # A few posts drawn from the training posts of a fold are shared between folds no more often than all of them.
        learned = max(float(np.mean([run.learned for run in self.runs])), len(self.numbers) - tested)
        several = len(per_fold) > 1
        interaction = (of_each - of_mean) / max(len(score) - 1, 1) if np.isfinite(of_mean) else 0.0
        return Spread(
            value=float(per_fold.mean()),
            posts=of_mean,
            scores=per_fold if several else score,
            contained=of_mean if several else interaction,
            varies=several or interaction > 1e-9 * of_mean or float(score.var()) > ROUNDING,
            freedom=freedom,
            groups=self.groups,
            effective=effective,
            folds=per_fold,
            test_to_train=tested / max(learned, 1.0),
            basis=_basis(len(per_fold), len(score)),
            scale=scale,
            sums=sums,
        )


@functools.lru_cache(maxsize=4)
def _resample(groups: int, seed: int, draws: int) -> np.ndarray:
    """Count how often each group is drawn with replacement: float [draws, groups], read-only as it is cached."""
    chosen = np.random.default_rng(seed).integers(0, groups, (draws, groups)) + groups * np.arange(draws)[:, None]
    times = np.bincount(chosen.ravel(), minlength=draws * groups).reshape(draws, groups).astype(np.float64)
    times.flags.writeable = False
    return times


def _variance(draws: np.ndarray) -> float:
    finite = draws[np.isfinite(draws)]
    return float(finite.var(ddof=1)) if len(finite) > 1 else np.inf


def _degrees_of_freedom(influence: np.ndarray) -> float:
    """Return the degrees of freedom of a variance between posts, from the influence of each group, float [G].

    They are ``2 G / (kurtosis - 1)`` (Satterthwaite, 1946, with the variance of a sample variance): few if a few posts
    decide, because two methods differ on five posts or a class is rare.
    """
    influence = influence - influence.mean()
    second, fourth = float((influence**2).mean()), float((influence**4).mean())
    most = max(len(influence) - 1, 1)
    if fourth <= second**2:
        return float(most)
    return float(np.clip(2 * len(influence) * second**2 / (fourth - second**2), 1, most))


def _basis(folds: int, runs: int) -> str:
    if folds > 1:
        return (
            f"{runs} trainings over {folds} folds: the interval holds the variation between test posts and between "
            "folds, not that folds learn from common posts, which only the p-value of a difference allows for"
        )
    if runs > 1:
        return (
            f"{runs} trainings on one division of the posts: the interval holds the variation between test posts and "
            "between seeds, with the draws of training posts where these are limited, not that of the division"
        )
    return "one training: the interval holds the variation between test posts only, not that between trainings"
