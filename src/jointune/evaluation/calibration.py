"""Temperature scaling: probabilities that say how often they are right."""

import numpy as np
from scipy.optimize import minimize_scalar

_RANGE = (-3.0, 3.0)
"""Of the logarithm of the temperature."""


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
    posts, classes = probabilities.shape
    targets = np.full((posts, classes), 1 / (posts + classes))
    targets[np.arange(posts), truth] = (posts + 1) / (posts + classes)

    def loss(log_temperature: float) -> float:
        scores = at_temperature(probabilities.astype(np.float64), float(np.exp(log_temperature)))
        return float(-(targets * np.log(np.maximum(scores, 1e-300))).sum() / posts)

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))
