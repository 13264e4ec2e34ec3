"""Thresholds of probabilities, chosen on validation posts."""

from dataclasses import dataclass

import numpy as np

from jointune.errors import SettingsError, setting


@dataclass(frozen=True)
class Wanted:
    """What a threshold is to reach: the best F1, or a recall.

    Attributes:
        text: the setting.
        recall: the wanted recall; None for the best F1.
    """

    text: str
    recall: float | None = None

    @classmethod
    def of(cls, text: str | None) -> "Wanted | None":
        """Parse the setting ``threshold``: ``f1``, or ``recall=0.9``.

        Raises:
            SettingsError: it is neither.
        """
        if text is None or text == "f1":
            return (text and cls(text)) or None
        try:
            name, share = text.split("=")
            recall = float(share)
        except ValueError:
            name, recall = "", 0.0
        if name != "recall" or not 0 < recall <= 1:
            raise SettingsError(
                f"{setting('threshold', text)}: give f1, or a recall such as recall=0.9", setting="threshold"
            )
        return cls(text, recall)


def best_threshold(scores: np.ndarray, right: np.ndarray, wanted: Wanted) -> float:
    """Return the threshold with the best F1 on posts, or the highest one that reaches a recall.

    It lies midway between two scores. Of equally good ones, it is the nearest to one half. Without any post that has
    the label, it is one half.

    Args:
        scores: probability of the label, float [N].
        right: whether each post has it, bool [N].
        wanted: what to reach.
    """
    positives = int(right.sum())
    if not positives:
        return 0.5
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order].astype(np.float64)
    last = np.append(np.diff(sorted_scores) != 0, True)  # of equal scores
    answers = np.flatnonzero(last) + 1
    hits = np.cumsum(right[order])[last]
    levels = sorted_scores[last]
    thresholds = (levels + np.append(levels[1:], 0.0)) / 2
    if wanted.recall is not None:
        return float(thresholds[np.flatnonzero(hits >= wanted.recall * positives - 1e-9)[0]])
    f1 = 2 * hits / (answers + positives)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(thresholds[best[np.abs(thresholds[best] - 0.5).argmin()]])
