"""Temperatures: what over-confidence was put in is found again, and few posts never make boundless confidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune import SettingsError
from jointune.evaluation.calibration import at_temperature, calibrate, fit_temperature, least_confidence
from jointune.evaluation.metrics import log_loss


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


@pytest.mark.parametrize("posts", [1, 2, 10, 60, 1000])
def test_posts_that_are_all_right_make_no_boundless_confidence(posts):
    """No more than Laplace's estimate of the accuracy, (N + 1) / (N + 2)."""
    scores, truth = np.tile([[0.6, 0.4]], (posts, 1)), np.zeros(posts, dtype=np.int64)
    calibrated = at_temperature(scores, fit_temperature(scores, truth))
    assert calibrated[0, 0] == pytest.approx(max(0.6, (posts + 1) / (posts + 2)), abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_few_posts_get_the_temperature_with_the_least_log_loss(seed):
    """Nothing pulls it towards another one where some posts are classified wrongly."""
    honest, truth = drawn(60, 3, seed)
    scores = at_temperature(honest, 0.9)
    grid = np.exp(np.linspace(-1, 1, 2001))
    losses = [log_loss(at_temperature(scores, temperature), truth) for temperature in grid]
    assert fit_temperature(scores, truth) == pytest.approx(grid[np.argmin(losses)], rel=2e-3)


@given(st.integers(1, 40), st.integers(2, 4), st.floats(0.2, 5), st.integers(0, 999))
def test_it_never_makes_the_log_loss_worse(posts, classes, sharpness, seed):
    """Neither on the posts that it was fitted on nor, by cross-validation, on others."""
    scores, truth = drawn(posts, classes, seed)
    scores = at_temperature(scores, 1 / sharpness)
    found = calibrate(scores, truth)
    assert found.log_loss[0] == pytest.approx(log_loss(scores, truth))
    assert found.log_loss[1] <= found.log_loss[0]
    assert log_loss(at_temperature(scores, found.temperature), truth) <= found.log_loss[0] + 1e-9
    if found.temperature != 1:
        assert (found.fitted, found.cross_validated) == (found.temperature, found.log_loss[1])
        assert found.cross_validated < found.log_loss[0]


def test_a_temperature_that_does_not_help_on_other_posts_is_not_applied():
    honest, truth = drawn(60, 3)
    found = calibrate(honest, truth)
    assert found.temperature == 1
    assert found.fitted != 1
    assert found.cross_validated > found.log_loss[0]
    for before, after in (found.log_loss, found.ece, found.reliability):
        assert before == after
    assert found.answered[0][0] == pytest.approx(honest.max(1).min())


def test_one_post_is_too_few_to_tell_whether_a_temperature_helps():
    found = calibrate(np.array([[0.6, 0.4]]), np.array([0]))
    assert (found.temperature, found.cross_validated) == (1.0, None)


def test_what_abstaining_gains_is_said_of_the_probabilities_that_the_model_gives():
    honest, truth = drawn(500, 3)
    scores = at_temperature(honest, 0.3)
    found = calibrate(scores, truth)
    assert found.temperature > 2
    given_out = at_temperature(scores, found.temperature).max(1)
    for threshold, accuracy, share in found.answered:
        answered = given_out >= threshold
        assert (share, accuracy) == (answered.mean(), (scores.argmax(1) == truth)[answered].mean())


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


def test_the_posts_behind_a_frequency_are_counted_by_what_they_hold():
    scores = np.array([[0.95, 0.05]] * 3 + [[0.85, 0.15]] * 2 + [[0.95, 0.05]])
    truth = np.array([0, 0, 1, 0, 1, 0])
    held = ["text+image"] * 3 + ["text"] * 2 + ["image"]
    # Six posts are too few for a temperature.
    assert calibrate(scores, truth, held).by_presence == {
        "text+image": [(0.9, 1.0, 2, 3)],
        "text": [(0.8, 0.9, 1, 2)],
        "image": [(0.9, 1.0, 1, 1)],
    }
    assert calibrate(scores, truth).by_presence == {}
