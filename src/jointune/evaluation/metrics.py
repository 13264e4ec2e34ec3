"""Scores of a classifier with their uncertainty."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jointune.evaluation.intervals import bootstrap_confusions, f1_scores


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of one label, and how many posts have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Metrics:
    """What ``evaluate`` finds.

    Attributes:
        n: number of posts.
        accuracy: share of posts predicted rightly.
        accuracy_ci: its 95 % bootstrap interval.
        macro_f1: mean F1 over the labels that occur in truth or prediction.
        macro_f1_ci: its 95 % bootstrap interval.
        weighted_f1: mean F1 weighted by how often each label is true.
        weighted_f1_ci: its 95 % bootstrap interval.
        log_loss: mean negative log-likelihood, in nats.
        ece: expected calibration error over 15 bins of equal width (Guo et al., arXiv 1706.04599).
        auroc: area under the ROC curve, one label against the rest, mean over labels; None where a label is absent.
        per_class: scores of each label.
        confusion_matrix: counts; rows are true labels, columns predictions, both in the order of ``labels``.
        labels: the labels, in the order of the model's columns.
    """

    n: int
    accuracy: float
    accuracy_ci: tuple[float, float]
    macro_f1: float
    macro_f1_ci: tuple[float, float]
    weighted_f1: float
    weighted_f1_ci: tuple[float, float]
    log_loss: float
    ece: float
    auroc: float | None
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[int]]
    labels: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def compute_metrics(truth: np.ndarray, probabilities: np.ndarray, labels: Sequence[str], seed: int = 0) -> Metrics:
    """Score probabilities against the truth.

    Args:
        truth: class numbers, int [N], N at least 1.
        probabilities: float [N, C], rows sum to one.
        labels: C label names.
        seed: of the bootstrap.
    """
    classes = np.arange(len(labels))
    predicted = probabilities.argmax(1)
    confusion = np.bincount(truth * len(labels) + predicted, minlength=len(labels) ** 2).reshape(len(labels), -1)
    right, support, answers = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = right / np.maximum(answers, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + answers, 1)
    macro, weighted = (float(score[0]) for score in f1_scores(confusion[None]))
    resampled = bootstrap_confusions(confusion, seed)
    macro_draws, weighted_draws = f1_scores(resampled)
    accuracy_draws = np.trace(resampled, axis1=1, axis2=2) / len(truth)
    auroc = None
    if support.all():
        # With two labels, the curve of one is that of the other.
        chosen = classes[1:] if len(labels) == 2 else classes
        auroc = float(np.mean([_area_under_roc(probabilities[:, label], truth == label) for label in chosen]))
    return Metrics(
        n=len(truth),
        accuracy=float((predicted == truth).mean()),
        accuracy_ci=_interval(accuracy_draws),
        macro_f1=macro,
        macro_f1_ci=_interval(macro_draws),
        weighted_f1=weighted,
        weighted_f1_ci=_interval(weighted_draws),
        log_loss=log_loss(probabilities, truth),
        ece=expected_calibration_error(probabilities.max(1), predicted == truth),
        auroc=auroc,
        per_class={
            label: ClassScores(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, label in enumerate(labels)
        },
        confusion_matrix=confusion.tolist(),
        labels=list(labels),
    )


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean negative log-likelihood of the true labels, in nats; probabilities [N, C], class numbers [N]."""
    return float(_losses(probabilities, truth).mean())


def standard_error(metric: str, metrics: Metrics, truth: np.ndarray, probabilities: np.ndarray) -> float:
    """How far a score may be off because of the posts that it was taken on.

    Args:
        metric: ``accuracy``, ``macro_f1``, ``weighted_f1`` or ``log_loss``.
        metrics: of these posts.
        truth: class numbers, int [N].
        probabilities: float [N, C].
    """
    if metric == "log_loss":
        return float(_losses(probabilities, truth).std() / np.sqrt(len(truth)))
    low, high = getattr(metrics, f"{metric}_ci")
    return float(high - low) / (2 * 1.96)


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence from accuracy over bins of equal width, weighted by their size.

    Equation 3 of Guo et al. (2017), arXiv 1706.04599.

    Args:
        confidence: the highest probability of each post, float [N].
        right: whether the prediction was right, bool [N].
        bins: their number.
    """
    distance = np.bincount(confidence_bins(confidence, bins), weights=confidence - right, minlength=bins)
    return float(np.abs(distance).sum() / len(confidence))


def confidence_bins(confidence: np.ndarray, bins: int = 15) -> np.ndarray:
    """The bin of equal width that each confidence falls into, its upper end included: int [N], from 0."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def _losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    chosen = np.clip(probabilities[np.arange(len(truth)), truth].astype(np.float64), 1e-12, 1)
    return -np.log(chosen)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _area_under_roc(scores: np.ndarray, right: np.ndarray) -> float:
    """The chance that a post of the label has a higher score than one without; a tie counts half. Both exist."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2  # the mean rank of equal scores
    ours = int(right.sum())
    return float((middle[place][right].sum() - ours * (ours + 1) / 2) / (ours * (len(right) - ours)))
