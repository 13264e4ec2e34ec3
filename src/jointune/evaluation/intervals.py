"""Intervals of scores that hold at the edge too, where all answers are right or all are wrong."""

import numpy as np

from jointune.evaluation.scores import Metric

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

PSEUDO_POSTS = 2.0
"""Posts added to a confusion matrix, evenly over its cells, before its variance is computed: about half of ``Z``
squared, as in Agresti and Coull (1998). Otherwise, a matrix without errors would have no variance."""


def score_interval(value: float, posts: float) -> tuple[float, float]:
    """Return the 95 % interval of a score that varies as a share of ``posts`` posts does.

    It is Wilson's score interval (1927) with a continuity correction of half a post at the end towards the nearer edge:
    Wilson's own covers only 84 % if the true share is very close to 0 or 1. For 60 right posts of 60, it is 0.940 to 1.

    For a share of up to 1,000 posts, the exact coverage is 95 to 98 % on average over true shares from 0.5 to 1. For
    every single share, it is at least 93 % from 40 posts on, 87 % from 2 posts on, and 79 % with one; for shares so
    close to 1 that hardly any sample has an error, it is nearly 100 %. On average, it is at most 5 % wider than
    Wilson's.

    Args:
        value: the score, 0 to 1.
        posts: effective number of posts, possibly a fraction; with none, the interval is 0 to 1.
    """
    right, wrong = value * posts, (1 - value) * posts
    lowest = right - min(0.5, right) if value <= 0.5 else right
    highest = right + min(0.5, wrong) if value >= 0.5 else right
    low = 0.0 if lowest <= 0 else wilson(lowest, posts)[0]
    high = 1.0 if highest >= posts else wilson(highest, posts)[1]
    return min(low, value), max(high, value)


def f1_interval(right: float, involved: float) -> tuple[float, float]:
    """Return the 95 % interval of a label's F1.

    Of the posts with the label in truth or prediction, the share J with it in both is binomial. F1 = 2 J / (1 + J)
    grows with J, so the ends of J's interval give those of F1.

    Args:
        right: number of posts with the label in truth and prediction.
        involved: number of posts with the label in truth or prediction.
    """
    low, high = score_interval(right / involved if involved else 0.0, involved)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def effective_posts(confusion: np.ndarray, metric: Metric) -> float:
    """Return the number of posts of which a share would vary as the score does; at most as many as there are.

    The variance is that of the delta method, with ``PSEUDO_POSTS`` added so that it does not vanish at the edge. If
    labels are rare, the score depends on few posts, so the number is small.

    Args:
        confusion: counts, int [C, C]; rows are true labels.
        metric: the score.
    """
    posts = float(confusion.sum())
    if metric == "accuracy":
        return posts
    value, influence, smooth = smooth_influence(confusion, metric)
    variance = float((smooth * influence**2).sum() / (smooth.sum() * posts))
    return min(value * (1 - value) / variance, posts)


def smooth_influence(
    confusion: np.ndarray, metric: Metric, pseudo_posts: float = PSEUDO_POSTS
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the influence of each cell's posts on a score, by the delta method, with pseudo-posts added.

    Args:
        confusion: counts, [C, C]; rows are true labels.
        metric: the score.
        pseudo_posts: their number, evenly over the cells of the labels that occur.

    Returns:
        The score with the pseudo-posts; its derivative by the share of posts in each cell, float [C, C], whose mean
        over all posts is zero; and the counts with the pseudo-posts, float [C, C].
    """
    occurs = confusion.sum(0) + confusion.sum(1) > 0
    if occurs.sum() < 2:  # one label and all posts right: F1 is accuracy
        metric, occurs = "accuracy", np.ones_like(occurs)
    cells = np.outer(occurs, occurs)
    smooth = confusion + cells * (pseudo_posts / cells.sum())
    posts = smooth.sum()
    if metric == "accuracy":
        value = float(np.trace(smooth) / posts)
        return value, np.eye(len(smooth)) - value, smooth
    support = smooth.sum(1)
    involved = np.maximum(support + smooth.sum(0), 1e-300)
    f1 = 2 * np.diag(smooth) / involved
    weight = occurs / occurs.sum() if metric == "macro_f1" else support / posts
    value = float(weight @ f1)
    each = posts * weight / involved
    influence = np.diag(2 * each) - (each * f1)[:, None] - (each * f1)
    if metric == "weighted_f1":
        influence = influence + f1[:, None] - value
    return value, influence, smooth


def wilson(right: float, posts: float, z: float = Z) -> tuple[float, float]:
    """Return both ends of Wilson's score interval, of 95 % by default; ``z`` is the normal quantile of its end."""
    middle, total = right + z**2 / 2, posts + z**2
    reach = z * np.sqrt(right * (posts - right) / posts + z**2 / 4)
    return float((middle - reach) / total), float((middle + reach) / total)
