"""Temperatures: what over-confidence was put in is found again, and few posts never make boundless confidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune.evaluation.calibration import at_temperature, fit_temperature


def drawn(posts, classes, seed=0):
    """Honest probabilities, and labels drawn from them."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(classes), posts)
    return scores, np.array([random.choice(classes, p=row) for row in scores])


@pytest.mark.parametrize("confidence", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_it_finds_how_over_confident_the_scores_are(confidence, classes):
    honest, truth = drawn(8000, classes)
    assert fit_temperature(at_temperature(honest, 1 / confidence), truth) == pytest.approx(confidence, rel=0.1)


def test_posts_that_are_all_right_make_no_boundless_confidence():
    scores, truth = np.tile([[0.6, 0.4]], (10, 1)), np.zeros(10, dtype=np.int64)
    calibrated = at_temperature(scores, fit_temperature(scores, truth))
    assert 0.8 < calibrated[0, 0] < 0.95
    few = at_temperature(scores, fit_temperature(scores[:2], truth[:2]))
    assert few[0, 0] < calibrated[0, 0]


@given(st.floats(0.1, 10), st.integers(2, 6), st.integers(0, 99))
def test_the_order_of_labels_stays(temperature, classes, seed):
    scores = drawn(5, classes, seed)[0].astype(np.float32)
    changed = at_temperature(scores, temperature)
    assert changed.dtype == np.float32
    np.testing.assert_allclose(changed.sum(1), 1, atol=1e-5)
    assert np.array_equal(changed.argmax(1), scores.argmax(1))


def test_a_probability_of_zero_is_no_error():
    scores, truth = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 1, 1])
    assert np.isfinite(at_temperature(scores, fit_temperature(scores, truth))).all()
