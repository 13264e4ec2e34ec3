"""Late fusion's weight."""

import numpy as np
import pytest

from jointune import JointClassifier, read_posts
from jointune.baselines.late import LateFusion, Mixture, choose_weight, mix
from jointune.data.label_checks import class_numbers
from jointune.evaluation.calibration import at_temperature, calibrate
from jointune.evaluation.metrics import expected_calibration_error, log_loss


def test_the_weight_is_chosen_by_the_metric():
    """Text is right where it matters for accuracy, pictures alone find the rare label."""
    truth = np.array([0] * 8 + [1] * 2)
    text = np.tile([0.9, 0.1], (10, 1))
    image = np.array([[0.4, 0.6]] * 3 + [[0.6, 0.4]] * 5 + [[0.02, 0.98]] * 2)

    def score(metric, weight):
        predicted = mix(text, image, weight).argmax(1)
        return (predicted == truth).mean(), (predicted[truth == 1] == 1).mean()

    for metric in ("accuracy", "macro_f1", "weighted_f1"):
        assert score(metric, choose_weight(truth, text, image, metric)) == (1.0, 1.0)
    likelihoods = [np.log(mix(text, image, weight)[np.arange(10), truth]).sum() for weight in np.linspace(0, 1, 21)]
    assert choose_weight(truth, text, image, "log_loss") == pytest.approx(np.argmax(likelihoods) / 20)


def test_equal_scores_are_told_apart_by_log_loss():
    truth = np.array([0, 1])
    text, image = np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([[0.9, 0.1], [0.1, 0.9]])
    assert choose_weight(truth, text, image) == 0.0


def test_the_average_is_calibrated_as_joint_is():
    """Two classifiers that are each calibrated and look at different things agree too cautiously."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 1000)
    text, image = (_calibrated(truth, random) for _ in range(2))
    mixture = Mixture.fitted(truth, text, image)
    averaged, given = mix(text, image, mixture.weight), mixture(text, image)
    assert mixture.temperature < 0.8
    assert mixture.temperature == calibrate(averaged, truth).temperature
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, at_temperature(averaged, mixture.temperature), atol=1e-6)
    assert log_loss(given, truth) < log_loss(averaged, truth) - 0.01
    assert _error(given, truth) < 0.6 * _error(averaged, truth)


def _calibrated(truth: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Probabilities that say how often they are right: logits of two normal distributions, two apart."""
    logits = 2 * (2 * truth - 1 + random.normal(size=len(truth)))
    second = 1 / (1 + np.exp(-logits))
    return np.stack([1 - second, second], axis=1)


def _error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return expected_calibration_error(probabilities.max(1), probabilities.argmax(1) == truth)


def test_it_predicts_with_weight_and_temperature_of_the_posts_own_validation_part(tiny_settings, posts_csv):
    posts = read_posts(posts_csv, split_column="split")
    late = LateFusion(JointClassifier(**tiny_settings), JointClassifier(**tiny_settings)).fit(posts)
    held = posts.in_split("validation")
    assert late.text.classifier.data_["validation"] == {"negative": 4, "positive": 4}
    text, image = (part.predict_proba(held) for part in (late.text, late.image))
    expected = Mixture.fitted(class_numbers(held, late.classes_.tolist()), text, image)
    assert late.mixture_ == expected
    np.testing.assert_array_equal(late.predict_proba(held), expected(text, image))
