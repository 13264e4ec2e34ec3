"""Temperature scaling, and the confidence below which a model abstains."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jointune.data.labels import UNSURE
from jointune.errors import SettingsError, setting
from jointune.evaluation.metrics import confidence_bins, expected_calibration_error, log_loss

_BINS = 10  # of the reliability table, of equal width
_THRESHOLDS = 100  # of the table of answered posts, at most
_FEWEST = 20  # posts on which an accuracy in that table rests
_RANGE = (-3.0, 3.0)  # of the logarithm of the temperature
_FOLDS = 10  # of the cross-validation that decides whether a temperature is applied
_ROUNDING = 1e-6  # of a log loss: less is no gain


@dataclass(frozen=True)
class Calibration:
    """The calibration of a model on validation posts, before and after temperature scaling.

    "After" is cross-validated: each post is scored at the best temperature of the posts of the other folds. If the
    temperature is not applied, it is the same as "before".

    Attributes:
        temperature: the divisor of the logits; 1 if ``fitted`` is not applied.
        fitted: the temperature with the least log loss on all validation posts.
        cross_validated: the cross-validated log loss; the temperature is applied if it is less than before. None if
            there are too few posts to cross-validate.
        log_loss: in nats, before and after.
        ece: expected calibration error, before and after.
        reliability: before and after, a row for each bin of confidence that is not empty: mean confidence, accuracy,
            and number of posts.
        answered: a row for each of some rising thresholds: the confidence, the accuracy on the posts that reach it, and
            their share of all.
        by_presence: for each combination of modalities, as ``presence`` names it, a row for each bin of confidence that
            is not empty: its bounds, the number of right answers, and the number of posts; after.
    """

    temperature: float
    fitted: float
    cross_validated: float | None
    log_loss: tuple[float, float]
    ece: tuple[float, float]
    reliability: tuple[list[tuple[float, float, int]], list[tuple[float, float, int]]]
    answered: list[tuple[float, float, float]]
    by_presence: dict[str, list[tuple[float, float, int, int]]]

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return asdict(self)


def check_wanted(accuracy: float) -> None:
    """Refuse a wanted accuracy that is not between 0 and 1.

    Raises:
        SettingsError: it is not.
    """
    if not 0 <= accuracy <= 1:
        raise SettingsError(
            f"{setting('abstain', accuracy)}: the wanted accuracy lies between 0 and 1", setting="abstain"
        )


def least_confidence(calibration: Mapping[str, Any] | None, accuracy: float, labels: Sequence[str]) -> float:
    """Return the lowest confidence at which the answers on validation posts are as accurate as wanted.

    Args:
        calibration: ``Calibration.to_dict()``.
        accuracy: the wanted accuracy of the answers, between 0 and 1.
        labels: the labels of the model.

    Raises:
        SettingsError: no confidence reaches it, or a label has the name of the answer for unsure posts.
    """
    check_wanted(accuracy)
    if calibration is None:
        raise SettingsError(
            "abstain: this model was not calibrated on validation posts", "train it anew", setting="abstain"
        )
    if UNSURE in labels:
        raise SettingsError(
            f"abstain: {UNSURE!r} is one of the labels, so that the answer would be ambiguous", setting="abstain"
        )
    for confidence, reached, _ in calibration["answered"]:
        if reached >= accuracy:
            return float(confidence)
    best = max(reached for _, reached, _ in calibration["answered"])
    raise SettingsError(
        f"{setting('abstain', accuracy)}: no confidence reaches that accuracy on the validation posts",
        f"the most is {best:.3f}",
        setting="abstain",
    )


Scale = Callable[[np.ndarray, float], np.ndarray]
"""Probabilities to those at a temperature; see ``at_temperature``."""


def calibrate(
    probabilities: np.ndarray,
    truth: np.ndarray,
    held: Sequence[str] = (),
    scale: Scale | None = None,
    choose: Callable[[np.ndarray], np.ndarray] = lambda scores: scores.argmax(1),
) -> Calibration:
    """Fit a temperature on held-out posts; apply it only if it helps on posts that it was not fitted on.

    Args:
        probabilities: the probabilities of N posts, float [N, C].
        truth: class numbers, int [N].
        held: the modalities of each post, as ``presence`` names them; none for no ``by_presence``.
        scale: what a temperature does to probabilities; ``at_temperature`` by default.
        choose: probabilities to predicted class numbers, int [N]; the most probable ones by default.
    """
    scale = scale or at_temperature
    fitted, before = fit_temperature(probabilities, truth, scale), log_loss(probabilities, truth)
    scaled = _cross_validated(probabilities, truth, scale)
    cross_validated = None if scaled is None else log_loss(scaled, truth)
    worse = log_loss(scale(probabilities, fitted), truth) > before
    if scaled is None or cross_validated is None or cross_validated > before - _ROUNDING or worse:
        temperature, scaled = 1.0, probabilities
    else:
        temperature = fitted

    def judged(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = choose(scores)
        return np.take_along_axis(scores, chosen[:, None], 1)[:, 0], chosen == truth

    confidences = [judged(scores) for scores in (probabilities, scaled)]
    return Calibration(
        temperature,
        fitted,
        cross_validated,
        (before, log_loss(scaled, truth)),
        (expected_calibration_error(*confidences[0]), expected_calibration_error(*confidences[1])),
        (_reliability(*confidences[0]), _reliability(*confidences[1])),
        _answered(*judged(scale(probabilities, temperature))),
        _by_presence(*confidences[1], np.array(held)) if len(held) else {},
    )


def presence(modalities: Iterable[str]) -> str:
    """Return a name for the modalities of a post, such as ``text+image``."""
    return "+".join(modalities)


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities as if their logits had been divided by ``temperature``; same shape and dtype."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-300)) / temperature
    scores = np.exp(logs - logs.max(1, keepdims=True))
    return (scores / scores.sum(1, keepdims=True)).astype(probabilities.dtype)


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray, scale: Scale | None = None) -> float:
    """Return the temperature with the least log loss on held-out posts (Guo et al., 2017, arXiv 1706.04599).

    If a few posts are all classified rightly, the least log loss is at boundless confidence. So no temperature below 1
    brings the mean confidence above (N + 1) / (N + 2), Laplace's estimate of the accuracy after N right answers.

    Args:
        probabilities: the probabilities of N posts, float [N, C].
        truth: class numbers, int [N].
        scale: see ``calibrate``.
    """
    from scipy.optimize import brentq, minimize_scalar

    exact, posts, scale = probabilities.astype(np.float64), len(truth), scale or at_temperature

    def loss(log_temperature: float) -> float:
        return log_loss(scale(exact, float(np.exp(log_temperature))), truth)

    def excess(log_temperature: float) -> float:
        confidence = scale(exact, float(np.exp(log_temperature))).max(1).mean()
        return float(confidence - (posts + 1) / (posts + 2))

    low, high = _RANGE
    if excess(0.0) >= 0:
        low = 0.0
    elif excess(low) > 0:
        low = brentq(excess, low, 0.0)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def _cross_validated(probabilities: np.ndarray, truth: np.ndarray, scale: Scale) -> np.ndarray | None:
    """Scale each post by the temperature of the other folds, which are stratified; return None for a single post."""
    folds = min(_FOLDS, len(truth))
    if folds < 2:
        return None
    fold = np.empty(len(truth), dtype=int)
    fold[np.argsort(truth, kind="stable")] = np.arange(len(truth)) % folds
    scores = np.empty_like(probabilities)
    for number in range(folds):
        held = fold == number
        temperature = fit_temperature(probabilities[~held], truth[~held], scale)
        scores[held] = scale(probabilities[held], temperature)
    return scores


def _answered(confidence: np.ndarray, right: np.ndarray) -> list[tuple[float, float, float]]:
    places = np.linspace(0, max(0, len(right) - _FEWEST), _THRESHOLDS).astype(int)
    thresholds = np.unique(np.sort(confidence)[places])
    chosen = [confidence >= threshold for threshold in thresholds]
    return [
        (float(threshold), float(right[posts].mean()), float(posts.mean()))
        for threshold, posts in zip(thresholds, chosen, strict=True)
    ]


def _by_presence(
    confidence: np.ndarray, right: np.ndarray, held: np.ndarray
) -> dict[str, list[tuple[float, float, int, int]]]:
    bins = confidence_bins(confidence, _BINS)
    return {
        str(name): [
            (float(k / _BINS), float((k + 1) / _BINS), int(right[posts].sum()), int(posts.sum()))
            for k in np.unique(bins[held == name])
            for posts in [(bins == k) & (held == name)]
        ]
        for name in np.unique(held)
    }


def _reliability(confidence: np.ndarray, right: np.ndarray) -> list[tuple[float, float, int]]:
    bins = confidence_bins(confidence, _BINS)
    return [
        (float(confidence[bins == k].mean()), float(right[bins == k].mean()), int((bins == k).sum()))
        for k in np.unique(bins)
    ]
