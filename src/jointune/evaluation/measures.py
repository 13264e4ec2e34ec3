"""Scores as functions of sums over posts, with intervals that do not collapse at the edge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from jointune.evaluation.intervals import PSEUDO_POSTS, Z, effective_posts, score_interval, smooth_influence
from jointune.evaluation.scores import Metric, scores_of

_LEAST = 1e-12
"""Of a scale, by which is divided: where one label alone occurs, nothing varies at all."""

_CHUNK = 256
"""Statistics whose derivatives are taken at once."""


@dataclass(frozen=True)
class Measure:
    """A score of N posts that follows from the sums of their statistics, and does not change if all posts are doubled.

    Attributes:
        statistics: truth and predictions of N posts to their statistics, float [N, S].
        of: sums, float [M, S], to M scores.
        pseudo: sums, float [S], to statistics of posts that keep the variance from vanishing at the edge, float [P, S];
            all of them together weigh ``PSEUDO_POSTS``.
        low: least value; -inf for none.
        high: greatest value; inf for none.
        rises: whether more is better.
    """

    statistics: Callable[[np.ndarray, np.ndarray], np.ndarray]
    of: Callable[[np.ndarray], np.ndarray]
    pseudo: Callable[[np.ndarray], np.ndarray]
    low: float = 0.0
    high: float = 1.0
    rises: bool = True

    @property
    def least_variance(self) -> float:
        """The least variance of a post's contribution, in units of ``scale``: 1 for a share; others may vary less."""
        return 1.0 if (self.low, self.high) == (0.0, 1.0) else 0.0

    @property
    def width(self) -> float:
        """The distance of the greatest value from the least; infinite without one of them."""
        return self.high - self.low

    def by_group(self, truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
        """Return the sums of each group's posts, float [groups, S]; ``group`` is the place of each post's, int [N]."""
        rows = self.statistics(truth, predicted)
        sums = np.zeros((groups, rows.shape[1]))
        np.add.at(sums, group, rows)
        return sums

    def smooth(self, sums: np.ndarray, posts: float, pseudo_posts: float) -> tuple[float, np.ndarray, float, float]:
        """Return the influence of posts on the score, by the delta method, with pseudo-posts added.

        Args:
            sums: float [S].
            posts: their number.
            pseudo_posts: their number.

        Returns:
            The score with the pseudo-posts; its derivative by the sums divided by the number of all posts, float [S];
            the sum of the squared influences of the pseudo-posts; and the number of all posts.
        """
        rows = self.pseudo(sums)
        weight = pseudo_posts / max(len(rows), 1)
        smoothed, total = sums + weight * rows.sum(0), posts + pseudo_posts
        step = 1e-5 * np.maximum(np.abs(smoothed), 1e-3 * total)
        slopes = np.zeros(len(sums))
        for start in range(0, len(sums), _CHUNK):
            moved = np.diag(step)[start : start + _CHUNK]
            slopes[start : start + _CHUNK] = (self.of(smoothed + moved) - self.of(smoothed - moved)) / 2
        by_share = slopes / step * total
        value = float(self.of(smoothed[None])[0])
        return value, by_share, weight * float(((rows @ by_share) ** 2).sum()), total

    def scale(self, value: float) -> float:
        """Return the variance of a single post's contribution, by which variances of several methods compare.

        That of a share if both ends are finite, and otherwise the square of the distance from the one that is.
        """
        below, above = value - self.low, self.high - value
        if np.isfinite(self.width):
            return max(below * above, _LEAST)
        return max(below**2 if np.isfinite(self.low) else above**2, _LEAST)

    def interval(self, value: float, reach: float, scale: float) -> tuple[float, float]:
        """Return a 95 % interval: that of a share, or one of the logarithm of the distance from the only finite end.

        Args:
            value: the score.
            reach: half the width of an interval of the mean, divided by the root of ``scale``.
            scale: see ``scale``, of the score with pseudo-posts.
        """
        if np.isfinite(self.width):
            if reach <= 0:  # a single post
                return self.low, self.high
            low, high = score_interval((value - self.low) / self.width, (Z / reach) ** 2)
            return self.low + low * self.width, self.low + high * self.width
        near, far = np.exp(-reach), np.exp(reach)
        if np.isfinite(self.low):
            away = value - self.low
            return float(self.low + away * near), float(self.low + max(away, np.sqrt(scale)) * far)
        away = self.high - value
        return float(self.high - max(away, np.sqrt(scale)) * far), float(self.high - away * near)

    def effective_share(self, sums: np.ndarray) -> float:
        """Return the number of posts of which a share would vary as the score does, divided by their number."""
        return 1.0

    def estimate(
        self, truth: np.ndarray, predicted: np.ndarray, repeats: float = 1
    ) -> tuple[float, tuple[float, float]]:
        """Return the score of posts and its 95 % interval; each post counts once that is ``repeats`` times there."""
        rows = self.statistics(truth, predicted)
        sums, posts = rows.sum(0) / repeats, len(rows) / repeats
        value = float(self.of(sums[None])[0])
        smooth, by_share, pseudo, total = self.smooth(sums, posts, PSEUDO_POSTS)
        scale = self.scale(smooth)
        variance = (float(((rows @ by_share) ** 2).sum()) / repeats + pseudo) / (posts * total)
        return value, self.interval(value, Z * max(variance / scale, self.least_variance / posts) ** 0.5, scale)

    def standard_error(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """Return the standard error of a score due to the choice of posts."""
        rows = self.statistics(truth, predicted)
        posts = float(len(rows))
        _, by_share, pseudo, total = self.smooth(rows.sum(0), posts, PSEUDO_POSTS)
        return float(np.sqrt((((rows @ by_share) ** 2).sum() + pseudo) / (posts * total)))


@dataclass(frozen=True)
class ConfusionMeasure:
    """A score of confusion matrices, as a measure; truth and predictions are class numbers, int [N].

    Attributes:
        metric: its name.
        labels: number of classes.
    """

    metric: Metric
    labels: int
    width: float = 1.0
    least_variance: float = 1.0

    def by_group(self, truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
        """Return the confusion matrix of each group's posts, flat: float [groups, labels²]."""
        cell = (group * self.labels + truth) * self.labels + predicted
        cells = self.labels**2
        return np.bincount(cell, minlength=groups * cells).reshape(groups, cells).astype(np.float64)

    def of(self, flat: np.ndarray) -> np.ndarray:
        """Return the score of each flat confusion matrix, float [M]; NaN if it is empty, as some resamples may be."""
        return scores_of(flat.reshape(-1, self.labels, self.labels), self.metric)

    def smooth(self, sums: np.ndarray, posts: float, pseudo_posts: float) -> tuple[float, np.ndarray, float, float]:
        """See ``Measure.smooth``."""
        confusion = sums.reshape(self.labels, self.labels)
        value, by_cell, smoothed = smooth_influence(confusion, self.metric, pseudo_posts)
        return value, by_cell.ravel(), float(((smoothed - confusion) * by_cell**2).sum()), float(smoothed.sum())

    def scale(self, value: float) -> float:
        """See ``Measure.scale``."""
        return value * (1 - value)

    def interval(self, value: float, reach: float, scale: float) -> tuple[float, float]:
        """See ``Measure.interval``."""
        return score_interval(value, (Z / reach) ** 2)

    def effective_share(self, sums: np.ndarray) -> float:
        """See ``Measure.effective_share``."""
        return float(effective_posts(sums.reshape(self.labels, self.labels), self.metric) / sums.sum())


def as_measure(metric: "str | Measure", labels: int) -> "Measure | ConfusionMeasure":
    """Return a score as a measure; that of a name is one of confusion matrices, which ``scores_of`` checks."""
    return ConfusionMeasure(cast(Metric, metric), labels) if isinstance(metric, str) else metric


def ordered_measures(classes: int) -> dict[str, Measure]:
    """Return the measures of ordered labels; truth and predictions are class numbers, int [N]."""
    ranks = np.arange(classes)
    distance = np.abs(ranks[:, None] - ranks).ravel().astype(np.float64)

    def confusion(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return np.eye(classes**2)[truth * classes + predicted]

    def pseudo(sums: np.ndarray) -> np.ndarray:
        table = sums.reshape(classes, classes)
        occurs = table.sum(0) + table.sum(1) > 0
        if occurs.sum() < 2:  # within one label, nothing could go wrong
            occurs[:] = True
        return np.eye(classes**2)[np.outer(occurs, occurs).ravel()]

    def kappa(sums: np.ndarray) -> np.ndarray:
        tables = sums.reshape(-1, classes, classes)
        by_chance = np.einsum("mi,mj->mij", tables.sum(2), tables.sum(1)).reshape(-1, classes**2)
        seen, expected = sums @ distance**2, by_chance @ distance**2 / np.maximum(sums.sum(1), 1e-300)
        # Where one label alone occurs, in truth and predictions, nothing is left to chance.
        return np.where(expected > 0, 1 - seen / np.where(expected > 0, expected, 1), 1.0)

    def mean_error(sums: np.ndarray) -> np.ndarray:
        return (sums @ distance) / sums.sum(1)

    return {
        "mae": Measure(confusion, mean_error, pseudo, 0.0, float(classes - 1), rises=False),
        "quadratic_kappa": Measure(confusion, kappa, pseudo, -1.0, 1.0),
    }


def several_measures(labels: int) -> dict[str, Measure]:
    """Return the measures of several labels a post; truth and predictions are masks, bool [N, L]."""

    def statistics(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        truth, predicted = truth.astype(bool), predicted.astype(bool)
        exact = (truth == predicted).all(1)
        parts = [truth & predicted, ~truth & predicted, truth & ~predicted, exact[:, None], np.ones((len(truth), 1))]
        return np.concatenate(parts, axis=1).astype(np.float64)

    def pseudo(sums: np.ndarray) -> np.ndarray:
        occurs = np.tile(sums[: 3 * labels].reshape(3, labels).sum(0) > 0, 3)
        return np.eye(3 * labels + 2)[:-2][occurs]

    def pseudo_posts(sums: np.ndarray) -> np.ndarray:
        rows = np.zeros((2, len(sums)))
        rows[:, -1], rows[0, -2] = 1, 1
        return rows

    def f1(hits: np.ndarray, false: np.ndarray, missed: np.ndarray) -> np.ndarray:
        involved = 2 * hits + false + missed
        return np.where(involved > 0, 2 * hits / np.where(involved > 0, involved, 1), np.nan)

    def macro(sums: np.ndarray) -> np.ndarray:
        each = f1(*np.split(sums[:, : 3 * labels], 3, axis=1))
        occurs = np.isfinite(each)
        return np.where(occurs.any(1), np.where(occurs, each, 0).sum(1) / np.maximum(occurs.sum(1), 1), 1.0)

    def micro(sums: np.ndarray) -> np.ndarray:
        return np.nan_to_num(f1(*sums[:, : 3 * labels].reshape(-1, 3, labels).sum(2).T), nan=1.0)

    return {
        "macro_f1": Measure(statistics, macro, pseudo),
        "micro_f1": Measure(statistics, micro, pseudo),
        "subset_accuracy": Measure(statistics, lambda sums: sums[:, -2] / sums[:, -1], pseudo_posts),
    }


def number_measures() -> dict[str, Measure]:
    """Return the measures of numbers; truth and predictions are float [N]."""

    def statistics(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        middle, spread = truth.mean(), truth.std() or 1.0
        y, p, error = (truth - middle) / spread, (predicted - middle) / spread, np.abs(truth - predicted)
        columns = [np.ones(len(y)), error, error**2, (y - p) ** 2, y, p, y**2, p**2, y * p]
        return np.stack(columns, axis=1).astype(np.float64)

    def ranked(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return statistics(ranks(truth), ranks(predicted))

    def pseudo(sums: np.ndarray) -> np.ndarray:
        # Two posts, a standard deviation to either side of the mean, that are predicted to be the mean.
        posts = sums[0]
        middle = sums[5] / posts
        ratio = sums[2] / sums[3] if sums[3] > 0 else 1.0  # squared unit of the numbers
        distance = np.sqrt(ratio) * np.abs(np.array([-1.0, 1.0]) - middle)
        rows = [
            [1, away, away**2, (y - middle) ** 2, y, middle, 1, middle**2, y * middle]
            for y, away in zip((-1.0, 1.0), distance, strict=True)
        ]
        return np.array(rows)

    def correlation(sums: np.ndarray) -> np.ndarray:
        posts, y, p, yy, pp, yp = (sums[:, column] for column in (0, 4, 5, 6, 7, 8))
        both = (posts * yy - y**2) * (posts * pp - p**2)
        # Without any variation, of one of them, nothing is explained.
        return np.where(both > 1e-12 * posts**4, (posts * yp - y * p) / np.sqrt(np.maximum(both, 1e-300)), 0.0)

    def explained(sums: np.ndarray) -> np.ndarray:
        posts, squares, y, yy = (sums[:, column] for column in (0, 3, 4, 6))
        total = yy - y**2 / posts
        return np.where(total > 0, 1 - squares / np.where(total > 0, total, 1), 0.0)

    return {
        "mae": Measure(statistics, lambda sums: sums[:, 1] / sums[:, 0], pseudo, 0.0, np.inf, rises=False),
        "rmse": Measure(statistics, lambda sums: np.sqrt(sums[:, 2] / sums[:, 0]), pseudo, 0.0, np.inf, rises=False),
        "pearson": Measure(statistics, correlation, pseudo, -1.0, 1.0),
        "spearman": Measure(ranked, correlation, pseudo, -1.0, 1.0),
        "r2": Measure(statistics, explained, pseudo, -np.inf, 1.0),
    }


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, from 1; equal values share the mean of theirs. Float [N]."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    return np.asarray(middle[place], dtype=np.float64)


def average_precision(scores: np.ndarray, right: np.ndarray) -> float:
    """Return the mean precision over the posts with a label, by falling score; a tie counts as a whole.

    Args:
        scores: float [N].
        right: whether each post has the label, bool [N], one at least.
    """
    order = np.argsort(-scores, kind="stable")
    hits, last = np.cumsum(right[order]), np.append(np.diff(scores[order]) != 0, True)
    places, at = np.flatnonzero(last) + 1, hits[last]
    return float((at / places * np.diff(at, prepend=0)).sum() / hits[-1])


def map_interval(value: float, support: Sequence[float], posts: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean average precision, as if each label's were a share of its posts.

    Args:
        value: the mean over labels.
        support: number of posts with each label, one at least.
        posts: number of all posts.
    """
    effective = len(support) ** 2 / sum(1 / number for number in support) if support else 0.0
    return score_interval(value, min(effective, posts)) if effective else (0.0, 1.0)
