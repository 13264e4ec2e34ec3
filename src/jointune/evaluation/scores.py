"""Scores of confusion matrices, many at once."""

from typing import Literal

import numpy as np

from jointune.errors import SettingsError

Metric = Literal["accuracy", "macro_f1", "weighted_f1"]


def bootstrap_confusions(confusion: np.ndarray, seed: int = 0, draws: int = 2000) -> np.ndarray:
    """Resample the posts of a confusion matrix, with replacement: int [C, C] to int [draws, C, C].

    One multinomial draw over the cells is the same as resampling posts and counting again, and far faster.
    """
    total = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(total, confusion.ravel() / total, size=draws)
    return drawn.reshape(draws, *confusion.shape)


def f1_scores(confusions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return macro and weighted F1 of each matrix, float [M] each; labels in neither truth nor prediction do not count.

    Args:
        confusions: counts, int [M, C, C]; rows are true labels.
    """
    right = np.diagonal(confusions, axis1=1, axis2=2)
    support, predicted = confusions.sum(2), confusions.sum(1)
    occurs = support + predicted
    f1 = np.where(occurs > 0, 2 * right / np.maximum(occurs, 1), 0.0)
    macro = f1.sum(1) / (occurs > 0).sum(1)
    weighted = (f1 * support).sum(1) / support.sum(1)
    return macro, weighted


def scores_of(confusions: np.ndarray, metric: Metric) -> np.ndarray:
    """Return the score of each matrix, float [M]; NaN for an empty one.

    Args:
        confusions: counts, [M, C, C]; rows are true labels.
        metric: the score.

    Raises:
        SettingsError: the metric is unknown.
    """
    with np.errstate(invalid="ignore"):
        if metric == "accuracy":
            shares: np.ndarray = np.trace(confusions, axis1=1, axis2=2) / confusions.sum((1, 2))
            return shares
        if metric in ("macro_f1", "weighted_f1"):
            return f1_scores(confusions)[0 if metric == "macro_f1" else 1]
    raise SettingsError(f"There is no metric '{metric}'", "use accuracy, macro_f1 or weighted_f1", setting="metric")
