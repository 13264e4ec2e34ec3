"""Scores of several labels a post, of ordered labels and of numbers, with their uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from jointune.evaluation.measures import (
    Measure,
    average_precision,
    map_interval,
    number_measures,
    ordered_measures,
    several_measures,
)
from jointune.evaluation.metrics import ClassScores, Interval, compute_metrics, label_scores
from jointune.evaluation.score_table import ScoreTable


@dataclass(frozen=True, repr=False)
class SeveralMetrics(ScoreTable):
    """Scores of a model that gives a post any number of labels.

    Attributes:
        n: number of posts.
        macro_f1: mean F1 over the labels that occur in truth or prediction.
        macro_f1_ci: its 95 % interval.
        micro_f1: F1 of all decisions about labels together.
        micro_f1_ci: its 95 % interval.
        map: mean average precision over the labels that some post has.
        map_ci: its 95 % interval.
        subset_accuracy: share of posts whose labels are all right.
        subset_accuracy_ci: its 95 % interval.
        log_loss: mean negative log-likelihood of a decision about a label, in nats.
        per_class: scores of each label.
        labels: the labels, in the order of the model's columns.
    """

    n: int
    macro_f1: float
    macro_f1_ci: Interval
    micro_f1: float
    micro_f1_ci: Interval
    map: float
    map_ci: Interval
    subset_accuracy: float
    subset_accuracy_ci: Interval
    log_loss: float
    per_class: dict[str, ClassScores]
    labels: list[str]

    with_intervals: ClassVar = ("macro_f1", "micro_f1", "map", "subset_accuracy")
    without: ClassVar = ("log_loss",)


@dataclass(frozen=True, repr=False)
class OrderedMetrics(ScoreTable):
    """Scores of a model of ordered labels, which are numbered from 0.

    Attributes:
        n: number of posts.
        mae: mean distance of the predicted label from the true one, in labels.
        mae_ci: its 95 % interval.
        quadratic_kappa: Cohen's kappa with quadratic weights (Cohen, 1968).
        quadratic_kappa_ci: its 95 % interval.
        accuracy: share of posts predicted rightly.
        accuracy_ci: its 95 % interval.
        macro_f1: mean F1 over the labels that occur in truth or prediction.
        macro_f1_ci: its 95 % interval.
        log_loss: mean negative log-likelihood, in nats.
        ece: expected calibration error; see ``Metrics``.
        per_class: scores of each label.
        confusion_matrix: counts; rows are true labels, columns predictions, both in the order of ``labels``.
        labels: the labels, in their order.
    """

    n: int
    mae: float
    mae_ci: Interval
    quadratic_kappa: float
    quadratic_kappa_ci: Interval
    accuracy: float
    accuracy_ci: Interval
    macro_f1: float
    macro_f1_ci: Interval
    log_loss: float
    ece: float
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[int]]
    labels: list[str]

    with_intervals: ClassVar = ("mae", "quadratic_kappa", "accuracy", "macro_f1")
    without: ClassVar = ("log_loss", "ece")


@dataclass(frozen=True, repr=False)
class NumberMetrics(ScoreTable):
    """Scores of a model of numbers.

    Attributes:
        n: number of posts.
        mae: mean distance of the predicted number from the true one.
        mae_ci: its 95 % interval.
        rmse: root of the mean squared distance.
        rmse_ci: its 95 % interval.
        pearson: correlation of predicted and true numbers.
        pearson_ci: its 95 % interval.
        spearman: correlation of their ranks.
        spearman_ci: its 95 % interval.
        r2: share of the variance of the true numbers that is explained; below 0, their mean would predict better.
        r2_ci: its 95 % interval.
    """

    n: int
    mae: float
    mae_ci: Interval
    rmse: float
    rmse_ci: Interval
    pearson: float
    pearson_ci: Interval
    spearman: float
    spearman_ci: Interval
    r2: float
    r2_ci: Interval

    with_intervals: ClassVar = ("mae", "rmse", "pearson", "spearman", "r2")


def several_metrics(
    truth: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray, labels: Sequence[str], repeats: float = 1
) -> SeveralMetrics:
    """Score several labels a post.

    Args:
        truth: whether each post has each label, bool [N, L].
        probabilities: float [N, L].
        predicted: bool [N, L].
        labels: L names.
        repeats: see ``compute_metrics``.
    """
    truth, support = truth.astype(bool), truth.astype(int).sum(0)
    having = np.flatnonzero(support)
    precisions = [average_precision(probabilities[:, label], truth[:, label]) for label in having]
    mean = float(np.mean(precisions)) if precisions else 0.0
    hits, answers = (truth & predicted).sum(0), predicted.sum(0)
    return SeveralMetrics(
        n=len(truth),
        **_estimated(several_measures(len(labels)), truth, predicted, repeats),
        map=mean,
        map_ci=map_interval(mean, (support[having] / repeats).tolist(), len(truth) / repeats),
        log_loss=several_log_loss(probabilities, truth),
        per_class={
            label: label_scores(int(hits[i]), int(answers[i]), int(support[i]), repeats)
            for i, label in enumerate(labels)
        },
        labels=list(labels),
    )


def several_log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean negative log-likelihood of the decisions about labels, in nats; both are [N, L]."""
    exact = probabilities.astype(np.float64)
    return float(-np.log(np.clip(np.where(truth, exact, 1 - exact), 1e-12, 1)).mean())


def ordered_metrics(
    truth: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray, labels: Sequence[str], repeats: float = 1
) -> OrderedMetrics:
    """Score ordered labels.

    Args:
        truth: class numbers, int [N].
        probabilities: float [N, C], rows sum to one.
        predicted: class numbers, int [N].
        labels: C names, in their order.
        repeats: see ``compute_metrics``.
    """
    plain = compute_metrics(truth, probabilities, labels, repeats, predicted).to_dict()
    shared: dict[str, Any] = {name: plain[name] for name in OrderedMetrics.__dataclass_fields__ if name in plain}
    shared["per_class"] = {label: ClassScores(**values) for label, values in plain["per_class"].items()}
    return OrderedMetrics(**shared, **_estimated(ordered_measures(len(labels)), truth, predicted, repeats))


def number_metrics(truth: np.ndarray, predicted: np.ndarray, repeats: float = 1) -> NumberMetrics:
    """Score numbers; both are float [N]. For ``repeats`` see ``compute_metrics``."""
    return NumberMetrics(n=len(truth), **_estimated(number_measures(), truth, predicted, repeats))


def _estimated(
    measures: Mapping[str, Measure], truth: np.ndarray, predicted: np.ndarray, repeats: float
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, measure in measures.items():
        values[name], values[f"{name}_ci"] = measure.estimate(truth, predicted, repeats)
    return values
