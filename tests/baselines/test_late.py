"""Late fusion's weight."""

import numpy as np
import pytest

from jointune.baselines.late import choose_weight, mix


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
