"""Scores agree with scikit-learn's; intervals cover what they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from jointune.evaluation.metrics import compute_metrics, expected_calibration_error, standard_error
from jointune.evaluation.scores import bootstrap_confusions, f1_scores

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
    for _ in range(300):
        right = random.random(posts) < true
        truth = random.integers(0, 2, posts)
        predicted = np.where(right, truth, 1 - truth)
        low, high = compute_metrics(truth, np.eye(2)[predicted] * 0.8 + 0.1, ["a", "b"]).accuracy_ci
        covered += low <= true <= high
    assert 0.91 <= covered / 300 <= 0.98


def test_where_all_is_right_intervals_have_a_width():
    truth = np.arange(60) % 2
    metrics = compute_metrics(truth, np.eye(2)[truth], ["a", "b"])
    for name in ("accuracy", "macro_f1", "weighted_f1"):
        low, high = getattr(metrics, f"{name}_ci")
        assert (round(low, 3), high) == (0.940, 1)
    scores = metrics.per_class["a"]
    assert (scores.precision, scores.recall, scores.f1, scores.support) == (1, 1, 1, 30)
    # Wilson's 30 / (30 + 1.96²).
    assert scores.precision_ci == scores.recall_ci == (pytest.approx(0.8865, abs=1e-4), 1)
    assert scores.f1_ci == (pytest.approx(0.9398, abs=1e-4), 1)
    one = compute_metrics(truth[:1], np.eye(2)[truth[:1]][:, ::-1], ["a", "b"])
    assert (one.accuracy, one.accuracy_ci) == (0, (0, pytest.approx(0.7935, abs=1e-4)))


def test_the_interval_of_a_label_that_does_not_occur_is_everything():
    metrics = compute_metrics(np.zeros(5, dtype=int), np.eye(3)[[0, 0, 0, 0, 1]], ["a", "b", "c"])
    unseen, guessed = metrics.per_class["c"], metrics.per_class["b"]
    assert unseen.precision_ci == unseen.recall_ci == unseen.f1_ci == (0, 1)
    assert guessed.recall_ci == (0, 1)
    assert guessed.precision_ci == (0, pytest.approx(0.7935, abs=1e-4))


def test_intervals_count_a_post_once_that_several_trainings_are_tested_on():
    random = np.random.default_rng(2)
    truth, predicted = random.integers(0, 3, 50), random.integers(0, 3, 50)
    once = compute_metrics(truth, np.eye(3)[predicted], LABELS)
    thrice = compute_metrics(np.tile(truth, 3), np.tile(np.eye(3)[predicted], (3, 1)), LABELS, repeats=3)
    for name in ("accuracy_ci", "macro_f1_ci", "weighted_f1_ci"):
        assert getattr(thrice, name) == pytest.approx(getattr(once, name))
    assert thrice.per_class["a"].f1_ci == pytest.approx(once.per_class["a"].f1_ci)
    assert thrice.per_class["a"].support == 3 * once.per_class["a"].support


def test_the_standard_error_that_chooses_weights_is_still_that_of_the_bootstrap():
    random = np.random.default_rng(5)
    truth, probabilities = random.integers(0, 3, 47), random.dirichlet(np.ones(3), 47)
    probabilities[np.arange(47), truth] += 0.5
    probabilities /= probabilities.sum(1, keepdims=True)
    metrics = compute_metrics(truth, probabilities, LABELS)
    errors = {
        "accuracy": 0.06513243595310465,
        "macro_f1": 0.0672376633530285,
        "weighted_f1": 0.06359620547314802,
        "log_loss": 0.038011126496646924,
    }
    for name, error in errors.items():
        assert standard_error(name, metrics, truth, probabilities) == pytest.approx(error, rel=1e-12)
    right = compute_metrics(truth, np.eye(3)[truth], LABELS)
    assert standard_error("accuracy", right, truth, np.eye(3)[truth]) == 0


def test_scores_as_a_notebook_shows_them():
    truth = np.arange(60) % 2
    metrics = compute_metrics(truth, np.eye(2)[truth], ["<script>", "b"])
    assert "accuracy: 1.000 (0.940 to 1.000)" in repr(metrics)
    assert max(len(line) for line in repr(metrics).splitlines()) < 130
    assert repr(metrics.per_class["b"]).startswith("ClassScores(precision 1.000 (0.886 to 1.000), recall")
    page = metrics._repr_html_()
    assert "<script>" not in page
    assert "<td>&lt;script&gt;</td><td>1.000 (0.886 to 1.000)</td>" in page


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
