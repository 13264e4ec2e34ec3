"""Scores of a classifier with their uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from jointune.evaluation.intervals import effective_posts, f1_interval, score_interval
from jointune.evaluation.score_table import ScoreTable, title, with_interval
from jointune.evaluation.scores import Metric, bootstrap_confusions, f1_scores, scores_of
from jointune.utils.wording import counted

Interval = tuple[float, float]


@dataclass(frozen=True, repr=False)
class ClassScores:
    """Precision, recall and F1 of one label, and its number of posts.

    Attributes:
        precision: share of the posts with this prediction that have the label; 0 if there are none.
        recall: share of the posts with the label that have this prediction; 0 if there are none.
        f1: their harmonic mean.
        support: number of posts with the label.
        precision_ci: its 95 % interval; 0 to 1 if no post has this prediction.
        recall_ci: its 95 % interval; 0 to 1 if no post has the label.
        f1_ci: its 95 % interval; 0 to 1 if neither occurs.
    """

    precision: float
    recall: float
    f1: float
    support: int
    precision_ci: Interval
    recall_ci: Interval
    f1_ci: Interval

    def __str__(self) -> str:
        scores = (f"{title(name)} {with_interval(self, name)}" for name in ("precision", "recall", "f1"))
        return f"{', '.join(scores)}, {counted(self.support, 'post')}"

    def __repr__(self) -> str:
        return f"ClassScores({self})"


@dataclass(frozen=True, repr=False)
class Metrics(ScoreTable):
    """Scores of a model on labelled posts, with their uncertainty.

    Attributes:
        n: number of posts.
        accuracy: share of posts predicted rightly.
        accuracy_ci: its 95 % interval.
        macro_f1: mean F1 over the labels that occur in truth or prediction.
        macro_f1_ci: its 95 % interval.
        weighted_f1: mean F1 weighted by how often each label is true.
        weighted_f1_ci: its 95 % interval.
        log_loss: mean negative log-likelihood, in nats.
        ece: expected calibration error over 15 bins of equal width (Guo et al., arXiv 1706.04599).
        auroc: area under the ROC curve, one label against the rest, mean over labels; None if a label is absent.
        per_class: scores of each label.
        confusion_matrix: counts; rows are true labels, columns predictions, both in the order of ``labels``.
        labels: the labels, in the order of the model's columns.
    """

    n: int
    accuracy: float
    accuracy_ci: Interval
    macro_f1: float
    macro_f1_ci: Interval
    weighted_f1: float
    weighted_f1_ci: Interval
    log_loss: float
    ece: float
    auroc: float | None
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[int]]
    labels: list[str]

    with_intervals: ClassVar = ("accuracy", "macro_f1", "weighted_f1")
    without: ClassVar = ("log_loss", "ece", "auroc")


def compute_metrics(
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: Sequence[str],
    repeats: float = 1,
    predicted: np.ndarray | None = None,
) -> Metrics:
    """Score probabilities against the truth.

    Args:
        truth: class numbers, int [N], N at least 1.
        probabilities: float [N, C], rows sum to one.
        labels: C label names.
        repeats: how often each post is among them, for several trainings tested on it; intervals count it once.
        predicted: class numbers, int [N]; by default the most probable ones.
    """
    classes = np.arange(len(labels))
    predicted = probabilities.argmax(1) if predicted is None else predicted
    confusion = np.bincount(truth * len(labels) + predicted, minlength=len(labels) ** 2).reshape(len(labels), -1)
    right, support, answers = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    counted = confusion / repeats
    accuracy = float((predicted == truth).mean())
    macro, weighted = (float(score[0]) for score in f1_scores(confusion[None]))
    auroc = None
    if support.all():
        # With two labels, the curve of one is that of the other.
        chosen = classes[1:] if len(labels) == 2 else classes
        auroc = float(np.mean([_area_under_roc(probabilities[:, label], truth == label) for label in chosen]))
    return Metrics(
        n=len(truth),
        accuracy=accuracy,
        accuracy_ci=score_interval(accuracy, effective_posts(counted, "accuracy")),
        macro_f1=macro,
        macro_f1_ci=score_interval(macro, effective_posts(counted, "macro_f1")),
        weighted_f1=weighted,
        weighted_f1_ci=score_interval(weighted, effective_posts(counted, "weighted_f1")),
        log_loss=log_loss(probabilities, truth),
        ece=expected_calibration_error(
            np.take_along_axis(probabilities, predicted[:, None], 1)[:, 0], predicted == truth
        ),
        auroc=auroc,
        per_class={
            label: label_scores(int(right[i]), int(answers[i]), int(support[i]), repeats)
            for i, label in enumerate(labels)
        },
        confusion_matrix=confusion.tolist(),
        labels=list(labels),
    )


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean negative log-likelihood of the true labels, in nats; probabilities [N, C], class numbers [N]."""
    return float(_losses(probabilities, truth).mean())


def standard_error(metric: str, metrics: ScoreTable, truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the standard error of a score due to the choice of posts, by the bootstrap.

    Training chooses weights by it. It is zero if all posts are right or all are wrong, so it makes no interval.

    Args:
        metric: ``accuracy``, ``macro_f1``, ``weighted_f1`` or ``log_loss``.
        metrics: the metrics of these posts.
        truth: class numbers, int [N].
        probabilities: float [N, C].
    """
    if metric == "log_loss":
        return float(_losses(probabilities, truth).std() / np.sqrt(len(truth)))
    draws = scores_of(bootstrap_confusions(np.array(metrics.confusion_matrix)), cast(Metric, metric))
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(high - low) / (2 * 1.96)


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Return the mean distance of confidence from accuracy over bins of equal width, weighted by their size.

    Equation 3 of Guo et al. (2017), arXiv 1706.04599.

    Args:
        confidence: the highest probability of each post, float [N].
        right: whether the prediction was right, bool [N].
        bins: their number.
    """
    distance = np.bincount(confidence_bins(confidence, bins), weights=confidence - right, minlength=bins)
    return float(np.abs(distance).sum() / len(confidence))


def confidence_bins(confidence: np.ndarray, bins: int = 15) -> np.ndarray:
    """Return the bin of equal width, upper end included, of each confidence: int [N], from 0."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def _losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    chosen = np.clip(probabilities[np.arange(len(truth)), truth].astype(np.float64), 1e-12, 1)
    return -np.log(chosen)


def label_scores(right: int, answers: int, support: int, repeats: float = 1) -> ClassScores:
    """Score a label, from the numbers of its right answers, of its answers, and of the posts that have it."""
    precision, recall = right / max(answers, 1), right / max(support, 1)
    return ClassScores(
        precision=precision,
        recall=recall,
        f1=2 * right / max(support + answers, 1),
        support=support,
        precision_ci=score_interval(precision, answers / repeats),
        recall_ci=score_interval(recall, support / repeats),
        f1_ci=f1_interval(right / repeats, (support + answers - right) / repeats),
    )


def _area_under_roc(scores: np.ndarray, right: np.ndarray) -> float:
    """Return the chance that a post with the label has a higher score than one without; a tie counts half."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2  # the mean rank of equal scores
    ours = int(right.sum())
    return float((middle[place][right].sum() - ours * (ours + 1) / 2) / (ours * (len(right) - ours)))
