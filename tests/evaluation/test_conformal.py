"""Prediction sets: bounds computed by hand, coverage by simulation, and MAPIE where it is installed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune import SettingsError
from jointune.evaluation.conformal import OWN, Conformity, check_coverage, coverage_interval, label_scores, rank
from jointune.targets.numbers import Number
from jointune.targets.ordered_labels import OrderedLabels
from jointune.targets.several_labels import SeveralLabels
from jointune.targets.single_label import SingleLabel

ANSWERS = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.05, 0.15, 0.8]])
LABELS = ["a", "b", "c"]


def drawn(count, seed):
    """Probabilities of three labels, and labels that follow other ones: a model that is wrong about its confidence."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, count)
    logits = random.normal(size=(count, 3)) + 0.7 * np.eye(3)[truth]
    powers = np.exp(3 * logits)
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32), truth


def of_one_kind(scores):
    return Conformity(scores, ["text+image"] * len(next(iter(scores.values()))))


def test_scores_by_hand():
    np.testing.assert_allclose(label_scores(ANSWERS, "lac"), 1 - ANSWERS)
    adaptive = [[0.7, 0.9, 1.0], [0.7, 0.4, 1.0], [1.0, 0.95, 0.8]]
    np.testing.assert_allclose(label_scores(ANSWERS, "adaptive"), adaptive)
    target = SingleLabel(LABELS)
    conformity = target.conformity(np.array([0, 2, 1]), ANSWERS)
    np.testing.assert_allclose(conformity["lac"], [0.3, 0.7, 0.85])
    np.testing.assert_allclose(conformity["adaptive"], [0.7, 1.0, 0.95])


@pytest.mark.parametrize(("posts", "coverage", "place"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (100, 0.8, 81)])
def test_the_bound_is_the_k_th_smallest_score(posts, coverage, place):
    scores = np.random.default_rng(0).permutation(posts) / posts
    assert rank(posts, coverage) == place
    assert of_one_kind({"lac": scores}).bounds(coverage, "lac").pooled == (place - 1) / posts


def test_too_few_posts_are_refused():
    with pytest.raises(SettingsError, match=r"take 9 validation posts, and the model has 8.*at most 0\.888"):
        of_one_kind({"lac": np.linspace(0, 1, 8)}).bounds(0.9, "lac")
    of_one_kind({"lac": np.linspace(0, 1, 8)}).bounds(0.888, "lac")
    with pytest.raises(SettingsError, match="the model has 0"):
        Conformity({"lac": np.array([])}, []).bounds(0.5, "lac")


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 1.5, math.nan, "0.9", None, True])
def test_a_coverage_is_a_share(coverage):
    with pytest.raises(SettingsError, match="between 0 and 1"):
        check_coverage(coverage)


def test_each_combination_of_modalities_has_a_bound_of_its_own_where_enough_posts_are_like_it():
    held = ["text+image"] * OWN + ["text"] * OWN + ["image"] * 5
    scores = np.concatenate([np.linspace(0, 0.1, OWN), np.linspace(0.5, 1, OWN), np.full(5, 0.2)])
    conformity = Conformity({"lac": scores}, held)
    assert conformity.enough == {"text+image": OWN, "text": OWN}
    bounds = conformity.bounds(0.9, "lac")
    assert bounds.own["text+image"] < 0.1 < bounds.pooled < bounds.own["text"]
    np.testing.assert_allclose(bounds.of(["image", "text"]), [bounds.pooled, bounds.own["text"]], atol=1e-5)


def test_sets_by_hand():
    target = SingleLabel(LABELS)
    sets = target.prediction_sets(ANSWERS, np.full(3, 0.75), "lac")
    assert [target.set_cells(row) for row in sets] == [["a"], ["a|b|c"], ["c"]]
    none = target.prediction_sets(ANSWERS, np.full(3, 0.1), "lac")
    assert [target.set_cells(row) for row in none] == [["a"], ["b"], ["c"]], "the prediction is always in its set"
    adaptive = target.prediction_sets(ANSWERS, np.full(3, 0.92), "adaptive")
    assert [target.set_response(row)["prediction_set"] for row in adaptive] == [["a", "b"], ["a", "b"], ["c"]]
    assert target.python_sets(adaptive, np.array([1, 2, 3])).tolist() == [(1, 2), (1, 2), (3,)]


def test_sets_of_ordered_labels_have_no_gaps():
    sets = OrderedLabels(LABELS).prediction_sets(np.array([[0.45, 0.1, 0.45]]), np.array([0.6]), "lac")
    assert sets.tolist() == [[True, True, True]]


def test_a_set_of_several_labels_holds_all_true_ones():
    target, answers = SeveralLabels(LABELS), np.array([[0.9, 0.6, 0.2], [0.1, 0.2, 0.3]])
    scores = target.conformity(np.array([[1, 1, 0], [0, 0, 0]], dtype=np.float32), answers)["lac"]
    np.testing.assert_allclose(scores, [0.4, 0.0])
    assert target.prediction_sets(answers, np.full(2, 0.75), "lac").tolist() == [
        [True, True, False],
        [False, False, True],
    ]


def test_numbers_have_intervals():
    target, answers = Number(), np.array([[1.0], [4.0]])
    np.testing.assert_allclose(target.conformity(np.array([1.5, 2.0]), answers)["residual"], [0.5, 2.0])
    ends = target.prediction_sets(answers, np.array([0.5, 2.0]), "residual")
    assert target.set_response(ends[1]) == {"prediction_low": 2.0, "prediction_high": 6.0}


@pytest.mark.parametrize(
    ("target", "rule"), [(Number, "lac"), (SeveralLabels, "adaptive"), (SingleLabel, "residual"), (SingleLabel, "aps")]
)
def test_a_rule_of_another_target_is_refused(target, rule):
    with pytest.raises(SettingsError, match="has no such sets"):
        target.check_sets(rule)
    assert target.check_sets(None) == target.set_rules[0]


@pytest.mark.parametrize("rule", ["lac", "adaptive"])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_share_covered_is_as_asked(rule, coverage):
    """The mean over draws of the validation posts is between the coverage and one post's weight more."""
    target, covered = SingleLabel(LABELS), []
    for seed in range(200):
        answers, truth = drawn(400, seed)
        bounds = of_one_kind(target.conformity(truth[:100], answers[:100])).bounds(coverage, rule)
        sets = target.prediction_sets(answers[100:], np.full(300, bounds.pooled), rule)
        covered.append(sets[np.arange(300), truth[100:]].mean())
    error = np.std(covered) / math.sqrt(len(covered))
    assert coverage - 4 * error <= np.mean(covered) <= coverage + 1 / 101 + 4 * error
    low, high = coverage_interval(100, coverage)
    assert np.mean((np.array(covered) > low - 0.02) & (np.array(covered) < high + 0.02)) > 0.88


def test_the_interval_of_the_share_is_that_of_a_beta_distribution():
    low, high = coverage_interval(99, 0.9)
    assert (round(low, 3), round(high, 3)) == (0.834, 0.95)  # Beta(90, 10)
    assert coverage_interval(9999, 0.9)[1] - coverage_interval(9999, 0.9)[0] < 0.013


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_a_bound_covers_enough_of_its_own_posts(scores, coverage):
    conformity = of_one_kind({"lac": np.array(scores)})
    if rank(len(scores), coverage) > len(scores):
        with pytest.raises(SettingsError):
            conformity.bounds(coverage, "lac")
    else:
        assert (np.array(scores) <= conformity.bounds(coverage, "lac").pooled).mean() >= coverage - 1e-9


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"scores": {}, "held": []},
        {"scores": {"lac": [0.1]}, "held": []},
        {"scores": {"lac": [math.nan]}, "held": ["text"]},
        {"scores": {"lac": ["x"]}, "held": ["text"]},
        {"scores": [1], "held": ["text"]},
    ],
)
def test_damaged_scores_are_refused(values):
    with pytest.raises(ValueError, match=r"scores|string"):
        Conformity.from_dict(values)


def test_scores_are_kept_as_json_values():
    conformity = Conformity({"lac": np.array([0.25, 0.5])}, ["text", "text+image"])
    again = Conformity.from_dict(conformity.to_dict())
    assert again.held == conformity.held
    assert again.scores["lac"].tolist() == [0.25, 0.5]


def test_sets_are_those_of_mapie():
    """Its adaptive sets are calibrated with random numbers, so that only the others can be compared."""
    classification = pytest.importorskip("mapie.classification", reason="MAPIE is not installed")
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        """A model whose probabilities are its inputs."""

        def fit(self, inputs, labels):
            self.classes_ = np.arange(3)
            return self

        def predict_proba(self, inputs):
            return inputs

        def predict(self, inputs):
            return inputs.argmax(1)

        def __sklearn_is_fitted__(self):
            return True

    answers, truth = drawn(500, 5)
    answers = answers.astype(np.float64)
    answers /= answers.sum(1, keepdims=True)
    model = Given().fit(None, None)
    conformal = classification.SplitConformalClassifier(model, 0.9, "lac", prefit=True)
    _, expected = conformal.conformalize(answers[:200], truth[:200]).predict_set(answers[200:])
    target = SingleLabel(LABELS)
    bounds = of_one_kind(target.conformity(truth[:200], answers[:200])).bounds(0.9, "lac")
    sets = target.prediction_sets(answers[200:], np.full(300, bounds.pooled), "lac")
    chosen = np.arange(3) == answers[200:].argmax(1)[:, None]
    assert (sets == expected[:, :, 0] | chosen).all()
