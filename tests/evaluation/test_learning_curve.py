"""Labels needed and saved, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune.errors import SettingsError
from jointune.evaluation.learning_curve import Curve, posts_needed, posts_saved

BUDGETS = [64, 128, 256, 512]


def test_between_budgets_the_score_is_linear_in_the_logarithm():
    scores = [0.5, 0.6, 0.7, 0.8]
    assert posts_needed(BUDGETS, scores, 0.65) == pytest.approx(128 * 2**0.5)
    assert posts_needed(BUDGETS, scores, 0.7) == pytest.approx(256)
    assert posts_needed(BUDGETS, scores, 0.8) == pytest.approx(512)


def test_outside_the_curve():
    assert posts_needed(BUDGETS, [0.5, 0.6, 0.7, 0.8], 0.4) == 64
    assert posts_needed(BUDGETS, [0.5, 0.6, 0.7, 0.8], 0.81) is None


def test_a_curve_that_falls_again_counts_from_where_it_first_reaches_the_score():
    assert posts_needed(BUDGETS, [0.5, 0.7, 0.6, 0.8], 0.65) == pytest.approx(64 * 2**0.75)
    assert posts_needed(BUDGETS, [0.7, 0.6, 0.5, 0.8], 0.65) == 64
    assert posts_needed(BUDGETS, [0.5, 0.4, 0.6, 0.6], 0.55) == pytest.approx(128 * 2**0.75)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_never_needs_fewer_labels(scores, one, other):
    budgets = [2.0**step for step in range(len(scores))]
    low, high = (posts_needed(budgets, scores, target) for target in sorted((one, other)))
    assert high is None or (low is not None and budgets[0] <= low <= high * (1 + 1e-12) <= budgets[-1] * (1 + 1e-11))
    assert (low is None) == (max(scores) < min(one, other))


def test_savings_are_over_the_next_best_method():
    others = {"text": Curve(BUDGETS, [0.4, 0.5, 0.6, 0.7]), "image": Curve(BUDGETS, [0.3, 0.55, 0.56, 0.6])}
    below, between, beyond = posts_saved(Curve([16, 128, 512], [0.35, 0.575, 0.75]), others)
    assert (below.method, below.needed, below.relation, below.ratio) == ("text", 64, "<=", 4)
    assert (between.budget, between.score, between.method, between.relation) == (128, 0.575, "text", "=")
    assert between.needed == pytest.approx(128 * 2**0.75)
    assert between.ratio == pytest.approx(2**0.75)
    assert (beyond.method, beyond.needed, beyond.relation, beyond.ratio) == (None, 512, ">", 1)


def test_more_than_what_every_method_was_tried_with():
    others = {"text": Curve([64, 1024], [0.4, 0.5]), "image": Curve([64, 256], [0.4, 0.5])}
    (saving,) = posts_saved(Curve([128], [0.6]), others)
    assert (saving.method, saving.needed, saving.relation, saving.ratio) == (None, 256, ">", 2)


def test_a_worse_method_saves_nothing():
    (saving,) = posts_saved(Curve([512], [0.5]), {"text": Curve(BUDGETS, [0.4, 0.6, 0.7, 0.8])})
    assert saving.ratio == pytest.approx(64 * 2**0.5 / 512)


def test_what_is_no_curve_is_refused():
    for budgets, scores in [
        ([], []),
        ([1, 2], [0.5]),
        ([2, 1], [0.5, 0.6]),
        ([1, 1], [0.5, 0.6]),
        ([0, 1], [0.5, 0.6]),
    ]:
        with pytest.raises(SettingsError, match="ascending budgets"):
            posts_needed(budgets, scores, 0.5)
    with pytest.raises(SettingsError, match="no method to compare with"):
        posts_saved(Curve(BUDGETS, np.linspace(0.5, 0.8, 4)), {})
