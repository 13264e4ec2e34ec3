"""Temperature scaling: probabilities that say how often they are right, and what to answer where they are low."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jointune.errors import SettingsError, setting
from jointune.evaluation.metrics import confidence_bins, expected_calibration_error, log_loss

UNSURE = "unsure"
"""The answer where the confidence is too low."""

_BINS = 10
"""Of the reliability table, of equal width."""

_THRESHOLDS = 100
"""Of the table of what abstaining gains, at most."""

_FEWEST = 20
"""Posts on which an accuracy in that table rests."""

_RANGE = (-3.0, 3.0)
"""Of the logarithm of the temperature."""


@dataclass(frozen=True)
class Calibration:
    """How trustworthy the probabilities are, as the validation posts tell.

    Attributes:
        temperature: what the logits are divided by.
        log_loss: in nats, before and after.
        ece: expected calibration error, before and after.
        reliability: before and after, a row for each bin of confidence that is not empty: mean confidence, accuracy,
            and number of posts.
        answered: a row for each of some rising thresholds: the confidence, the accuracy on the posts that have at least
            that, and their share of all.
    """

    temperature: float
    log_loss: tuple[float, float]
    ece: tuple[float, float]
    reliability: tuple[list[tuple[float, float, int]], list[tuple[float, float, int]]]
    answered: list[tuple[float, float, float]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def check_wanted(accuracy: float) -> None:
    """See that an accuracy can be asked for.

    Raises:
        SettingsError: it is not between 0 and 1.
    """
    if not 0 <= accuracy <= 1:
        raise SettingsError(f"{setting('abstain', accuracy)}: the wanted accuracy lies between 0 and 1")


def least_confidence(calibration: Mapping[str, Any] | None, accuracy: float, labels: Sequence[str]) -> float:
    """The lowest confidence with which answers are as often right as wanted, on the validation posts.

    Args:
        calibration: what ``Calibration.to_dict`` gave.
        accuracy: wanted on the posts that are answered, between 0 and 1.
        labels: of the model.

    Raises:
        SettingsError: no confidence reaches that, or a label could not be told from the answer.
    """
    check_wanted(accuracy)
    if calibration is None:
        raise SettingsError("abstain: this model was not calibrated on validation posts; train it anew")
    if UNSURE in labels:
        raise SettingsError(f"abstain: {UNSURE!r} is one of the labels, so that the answer would be ambiguous")
    for confidence, reached, _ in calibration["answered"]:
        if reached >= accuracy:
            return float(confidence)
    best = max(reached for _, reached, _ in calibration["answered"])
    raise SettingsError(
        f"{setting('abstain', accuracy)}: no confidence reaches that accuracy on the validation posts; "
        f"the most is {best:.3f}"
    )


def calibrate(probabilities: np.ndarray, truth: np.ndarray) -> Calibration:
    """Fit a temperature on held-out posts, and say what it gains and what confidence is worth.

    Args:
        probabilities: of N posts, float [N, C].
        truth: class numbers, int [N].
    """
    temperature = fit_temperature(probabilities, truth)
    after = at_temperature(probabilities, temperature)
    confidence, right = after.max(1), after.argmax(1) == truth
    places = np.linspace(0, max(0, len(truth) - _FEWEST), _THRESHOLDS).astype(int)
    thresholds = np.unique(np.sort(confidence)[places])
    chosen = [confidence >= threshold for threshold in thresholds]
    answered = [
        (float(threshold), float(right[posts].mean()), float(posts.mean()))
        for threshold, posts in zip(thresholds, chosen, strict=True)
    ]
    return Calibration(
        temperature,
        (log_loss(probabilities, truth), log_loss(after, truth)),
        (_error(probabilities, truth), _error(after, truth)),
        (_reliability(probabilities, truth), _reliability(after, truth)),
        answered,
    )


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What the probabilities would be, had their logits been divided by ``temperature``; same shape and dtype."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-300)) / temperature
    scores = np.exp(logs - logs.max(1, keepdims=True))
    return (scores / scores.sum(1, keepdims=True)).astype(probabilities.dtype)


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the least log loss on held-out posts (Guo et al., 2017, arXiv 1706.04599).

    Few posts may all be classified rightly, which would call for boundless confidence: as in Platt (1999), each true
    label counts as (N + 1) / (N + C), and every other one as 1 / (N + C).

    Args:
        probabilities: of N posts, float [N, C].
        truth: class numbers, int [N].
    """
    from scipy.optimize import minimize_scalar

    posts, classes = probabilities.shape
    targets = np.full((posts, classes), 1 / (posts + classes))
    targets[np.arange(posts), truth] = (posts + 1) / (posts + classes)

    def loss(log_temperature: float) -> float:
        scores = at_temperature(probabilities.astype(np.float64), float(np.exp(log_temperature)))
        return float(-(targets * np.log(np.maximum(scores, 1e-300))).sum() / posts)

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))


def _error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return expected_calibration_error(probabilities.max(1), probabilities.argmax(1) == truth)


def _reliability(probabilities: np.ndarray, truth: np.ndarray) -> list[tuple[float, float, int]]:
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = confidence_bins(confidence, _BINS)
    return [
        (float(confidence[bins == k].mean()), float(right[bins == k].mean()), int((bins == k).sum()))
        for k in np.unique(bins)
    ]
