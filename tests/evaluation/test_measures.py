"""Scores of several labels, ordered labels and numbers: their values, and intervals that cover and do not collapse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    average_precision_score,
    cohen_kappa_score,
    f1_score,
    mean_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from jointune.evaluation.measures import average_precision, number_measures, ordered_measures, several_measures
from jointune.evaluation.significance import Run, estimate, paired_difference
from jointune.evaluation.target_metrics import number_metrics, ordered_metrics, several_metrics


def several(posts: int, seed: int, labels: int = 4):
    random = np.random.default_rng(seed)
    truth = random.random((posts, labels)) < [0.5, 0.3, 0.2, 0.1][:labels]
    scores = 0.3 * truth + random.random((posts, labels)) * 0.7
    return truth, scores, scores >= 0.5


@given(posts=st.integers(5, 60), seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_several_labels_are_scored_as_scikit_learn_does(posts, seed):
    truth, scores, predicted = several(posts, seed)
    found = several_metrics(truth, scores, predicted, list("abcd"))
    occurs = truth.any(0) | predicted.any(0)
    assert found.macro_f1 == pytest.approx(f1_score(truth[:, occurs], predicted[:, occurs], average="macro"))
    assert found.micro_f1 == pytest.approx(f1_score(truth, predicted, average="micro", zero_division=1))
    assert found.subset_accuracy == pytest.approx((truth == predicted).all(1).mean())
    having = truth.any(0)
    if having.any():
        assert found.map == pytest.approx(average_precision_score(truth[:, having], scores[:, having], average="macro"))


@given(seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_ties_of_average_precision_count_as_a_whole(seed):
    random = np.random.default_rng(seed)
    scores, right = random.integers(0, 4, 30) / 4, random.random(30) < 0.4
    right[0] = True
    assert average_precision(scores, right) == pytest.approx(average_precision_score(right, scores))


@given(posts=st.integers(5, 60), seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_ordered_labels_and_numbers_are_scored_as_others_do(posts, seed):
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(0, 4, (2, posts))
    truth[:2] = 0, 3
    found = ordered_metrics(truth, np.full((posts, 4), 0.25), predicted, list("abcd"))
    assert found.quadratic_kappa == pytest.approx(
        cohen_kappa_score(truth, predicted, weights="quadratic", labels=range(4))
    )
    assert found.mae == pytest.approx(mean_absolute_error(truth, predicted))
    numbers, guesses = truth + random.normal(size=posts), truth + random.normal(size=posts) * 0.5
    scored = number_metrics(numbers * 100 - 7, guesses * 100 - 7)
    assert scored.mae == pytest.approx(100 * mean_absolute_error(numbers, guesses))
    assert scored.rmse == pytest.approx(100 * root_mean_squared_error(numbers, guesses))
    assert scored.pearson == pytest.approx(pearsonr(numbers, guesses)[0])
    assert scored.spearman == pytest.approx(spearmanr(numbers, guesses)[0])
    assert scored.r2 == pytest.approx(r2_score(numbers, guesses))


@pytest.mark.parametrize("posts", [1, 2, 20, 500])
def test_no_interval_collapses_where_all_is_right_or_wrong(posts):
    truth = np.arange(posts) % 3
    masks = np.eye(3, dtype=bool)[truth]
    numbers = np.arange(posts) * 1.5
    for found in (
        several_metrics(masks, masks * 1.0, masks, list("abc")),
        several_metrics(masks, ~masks * 1.0, ~masks, list("abc")),
        ordered_metrics(truth, np.eye(3)[truth], truth, list("abc")),
        ordered_metrics(truth, np.eye(3)[(truth + 1) % 3], (truth + 1) % 3, list("abc")),
        number_metrics(numbers, numbers),
        number_metrics(numbers, np.full(posts, 3.0)),
    ):
        for name in found.with_intervals:
            value, (low, high) = getattr(found, name), getattr(found, f"{name}_ci")
            assert low <= value <= high, name
            assert low < high or (posts == 1 and low == value), name


CASES = {
    "micro_f1": ("several", 0.9),
    "macro_f1": ("several", 0.9),
    "subset_accuracy": ("several", 0.9),
    "mae": ("ordered", 0.9),
    "quadratic_kappa": ("ordered", 0.9),
    "rmse": ("number", 0.9),
    "pearson": ("number", 0.9),
    "spearman": ("number", 0.9),
    "r2": ("number", 0.9),
}


def drawn(kind: str, posts: int, seed: int):
    random = np.random.default_rng(seed)
    if kind == "several":
        truth, _, predicted = several(posts, seed)
        return truth, predicted
    if kind == "ordered":
        truth = random.integers(0, 4, posts)
        return truth, np.clip(truth + random.choice([-1, 0, 0, 1], posts), 0, 3)
    truth = random.normal(size=posts)
    return truth, 0.7 * truth + random.normal(size=posts) * 0.5


@pytest.mark.parametrize("name", CASES)
def test_intervals_cover_the_true_score(name):
    kind, least = CASES[name]
    measures = {"several": several_measures(4), "ordered": ordered_measures(4), "number": number_measures()}[kind]
    measure = measures[name]
    true = measure.estimate(*drawn(kind, 40_000, 1))[0]
    intervals = [measure.estimate(*drawn(kind, 120, 100 + seed))[1] for seed in range(150)]
    covered = np.mean([low <= true <= high for low, high in intervals])
    assert covered >= least
    assert np.median([high - low for low, high in intervals]) < 0.5


def test_methods_are_compared_by_any_measure():
    truth, good = drawn("number", 200, 3)
    worse = good + np.random.default_rng(0).normal(size=200)
    posts = np.arange(200)
    runs = [[Run(0, 0, posts, truth, predicted, 100)] for predicted in (good, worse, good)]
    measure = number_measures()["mae"]
    one = estimate(runs[0], measure, 0)
    assert one.value == pytest.approx(np.abs(truth - good).mean())
    assert one.low < one.value < one.high
    difference = paired_difference(runs[0], runs[1], measure, 0)
    assert difference.value < 0
    assert difference.distinguishable
    same = paired_difference(runs[0], runs[2], measure, 0)
    assert (same.value, same.distinguishable) == (0, False)
