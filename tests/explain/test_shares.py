"""Shapley values and interactions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune import SettingsError
from jointune.explain.shares import coalitions, interactions, shapley_values

NAMES = ("text", "image", "fields")
SETS = [frozenset(), *coalitions(NAMES)]
VALUES = st.lists(st.floats(-5, 5), min_size=8, max_size=8)


@given(VALUES)
def test_values_add_up_to_the_whole_less_nothing(values):
    answers = {one: np.array([value]) for one, value in zip(SETS, values, strict=True)}
    total = sum(shapley_values(answers, NAMES).values())
    np.testing.assert_allclose(total, answers[frozenset(NAMES)] - answers[frozenset()], atol=1e-9)


@given(VALUES)
def test_two_modalities_follow_the_formulas(values):
    nothing, text, image, both = (np.array([value]) for value in values[:4])
    answers = {frozenset(): nothing, frozenset(["a"]): text, frozenset(["b"]): image, frozenset("ab"): both}
    shares = shapley_values(answers, ("a", "b"))
    np.testing.assert_allclose(shares["a"], ((text - nothing) + (both - image)) / 2, atol=1e-9)
    np.testing.assert_allclose(interactions(answers, ("a", "b"))["a", "b"], both - text - image + nothing, atol=1e-9)


def test_one_that_changes_nothing_has_no_share():
    answers = {one: np.array([2.0 * ("text" in one) + ("image" in one)]) for one in SETS}
    shares = shapley_values(answers, NAMES)
    assert [float(shares[name][0]) for name in NAMES] == pytest.approx([2, 1, 0])
    assert all(abs(float(value[0])) < 1e-12 for value in interactions(answers, NAMES).values())


def test_too_many_modalities_are_refused():
    with pytest.raises(SettingsError, match="9 modalities"):
        coalitions([f"m{number}" for number in range(9)])
