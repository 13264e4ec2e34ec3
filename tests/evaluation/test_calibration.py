"""Temperatures: what over-confidence was put in is found again, and few posts never make boundless confidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune import SettingsError
from jointune.evaluation.calibration import at_temperature, calibrate, fit_temperature, least_confidence


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


def test_calibration_says_what_it_gains_and_what_confidence_is_worth():
    honest, truth = drawn(4000, 3)
    found = calibrate(at_temperature(honest, 0.4), truth)
    assert found.temperature == pytest.approx(2.5, rel=0.1)
    assert found.log_loss[1] < found.log_loss[0]
    assert found.ece[1] < 0.03 < found.ece[0]
    assert sum(posts for _, _, posts in found.reliability[0]) == 4000
    assert max(abs(confidence - accuracy) for confidence, accuracy, _ in found.reliability[1]) < 0.1
    assert found.answered[0][2] == 1.0
    shares = [share for _, _, share in found.answered]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] * 4000 >= 20


@pytest.mark.parametrize("wanted", [0.8, 0.9])
def test_answers_of_enough_confidence_are_as_often_right_as_wanted_on_other_posts_too(wanted):
    (honest, truth), (others, theirs) = drawn(4000, 3), drawn(4000, 3, seed=1)
    least = least_confidence(calibrate(honest, truth).to_dict(), wanted, ["a", "b", "c"])
    answered = others.max(1) >= least
    assert (others.argmax(1) == theirs)[answered].mean() == pytest.approx(wanted, abs=0.05)
    assert answered.mean() > 0.05


@pytest.mark.parametrize(
    ("calibration", "wanted", "labels", "says"),
    [
        (calibrate(*drawn(200, 3)).to_dict(), 1.5, ["a", "b", "c"], "between 0 and 1"),
        (calibrate(np.full((50, 2), 0.5), np.arange(50) % 2).to_dict(), 0.9, ["a", "b"], "the most is 0.500"),
        (None, 0.9, ["a", "b"], "train it anew"),
        (calibrate(*drawn(200, 3)).to_dict(), 0.5, ["a", "b", "unsure"], "'unsure' is one of the labels"),
    ],
)
def test_why_it_cannot_abstain(calibration, wanted, labels, says):
    with pytest.raises(SettingsError, match=says):
        least_confidence(calibration, wanted, labels)
