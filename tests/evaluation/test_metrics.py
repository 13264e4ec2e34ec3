"""Scores agree with scikit-learn's; intervals cover what they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from jointune.evaluation.intervals import bootstrap_confusions, f1_scores
from jointune.evaluation.metrics import compute_metrics, expected_calibration_error

LABELS = ["a", "b", "c"]


@st.composite
def scored(draw):
    count = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    return random.integers(0, 3, count), random.dirichlet(np.ones(3), count)


@settings(max_examples=40, deadline=None)
@given(scored())
def test_scores_are_those_of_scikit_learn(sample):
    truth, probabilities = sample
    predicted = probabilities.argmax(1)
    metrics = compute_metrics(truth, probabilities, LABELS)
    assert metrics.n == len(truth)
    assert metrics.accuracy == pytest.approx((truth == predicted).mean())
    assert metrics.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert metrics.weighted_f1 == pytest.approx(f1_score(truth, predicted, average="weighted", zero_division=0))
    assert metrics.log_loss == pytest.approx(log_loss(truth, probabilities, labels=[0, 1, 2]), rel=1e-6)
    assert np.sum(metrics.confusion_matrix) == len(truth)
    assert metrics.accuracy_ci[0] <= metrics.accuracy <= metrics.accuracy_ci[1]
    if len(set(truth)) == 3:
        assert metrics.auroc == pytest.approx(roc_auc_score(truth, probabilities, multi_class="ovr"))
    else:
        assert metrics.auroc is None


def test_two_labels():
    truth, second = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    metrics = compute_metrics(truth, np.stack([1 - second, second], 1), ["no", "yes"])
    assert metrics.auroc == pytest.approx(0.75)
    assert metrics.confusion_matrix == [[1, 1], [1, 1]]
    assert metrics.per_class["yes"].support == 2


def test_the_interval_covers_the_true_accuracy_as_often_as_it_says():
    random = np.random.default_rng(0)
    true, posts, covered = 0.7, 300, 0
    for trial in range(300):
        right = random.random(posts) < true
        truth = random.integers(0, 2, posts)
        predicted = np.where(right, truth, 1 - truth)
        low, high = compute_metrics(truth, np.eye(2)[predicted] * 0.8 + 0.1, ["a", "b"], seed=trial).accuracy_ci
        covered += low <= true <= high
    assert 0.91 <= covered / 300 <= 0.98


def test_the_bootstrap_over_the_matrix_is_the_bootstrap_over_posts():
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 200)
    predicted = np.where(random.random(200) < 0.6, truth, random.integers(0, 3, 200))
    confusion = np.zeros((3, 3), dtype=int)
    np.add.at(confusion, (truth, predicted), 1)
    macro, _ = f1_scores(bootstrap_confusions(confusion, draws=2000))
    plain = []
    for _ in range(500):
        chosen = random.integers(0, 200, 200)
        plain.append(f1_score(truth[chosen], predicted[chosen], average="macro"))
    assert np.mean(macro) == pytest.approx(np.mean(plain), abs=0.01)
    assert np.std(macro) == pytest.approx(np.std(plain), rel=0.15)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([1, 1, 1, 0, 1, 0])
    expected = 4 / 6 * abs(0.95 - 0.75) + 2 / 6 * abs(0.55 - 0.5)
    assert expected_calibration_error(confidence, right) == pytest.approx(expected)
    assert expected_calibration_error(np.ones(3), np.ones(3)) == 0
