"""One label a post: softmax over the labels, cross-entropy, and the most probable label as the answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jointune.data.label_checks import class_numbers
from jointune.data.labels import UNSURE
from jointune.data.post import Posts
from jointune.data.read import label_text
from jointune.errors import SettingsError
from jointune.evaluation.metrics import Metrics, compute_metrics

if TYPE_CHECKING:
    from torch import Tensor


FEW_TO_LEARN = 2000
"""With fewer training posts, ``class_weight="auto"`` weighs labels: they gain much macro F1, and lose no accuracy."""


class SingleLabel:
    """A target with exactly one of C labels a post.

    Args:
        labels: their names, in the order of the logits.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)

    @property
    def outputs(self) -> int:
        """The number of logits, C."""
        return len(self.labels)

    def encode(self, posts: Posts) -> np.ndarray:
        """Return the number of each post's label, int64 [N].

        Raises:
            PostsError: a post has no label, or an unknown one.
        """
        return class_numbers(posts, self.labels)

    def weights(self, encoded: np.ndarray, class_weight: str | Mapping[Any, float] | None) -> np.ndarray | None:
        """Return the weight of each label in the loss, float [C]; None where all weigh alike.

        Args:
            encoded: of the training posts, int64 [N].
            class_weight: ``balanced`` for weights by rarity, ``root`` for their roots, both with a mean of 1 over the
                posts; ``auto`` for ``root`` with fewer than ``FEW_TO_LEARN`` posts; or a weight for some labels, where the
                others weigh 1.

        Raises:
            SettingsError: there is no such label, or a weight is negative or not finite.
        """
        if class_weight is None or (class_weight == "auto" and len(encoded) >= FEW_TO_LEARN):
            return None
        if class_weight in ("auto", "root", "balanced"):
            counts = np.bincount(encoded, minlength=self.outputs)
            rarity = (len(encoded) / (self.outputs * counts)) ** (1 if class_weight == "balanced" else 0.5)
            return rarity / np.average(rarity, weights=counts)
        weights = {label_text(label): weight for label, weight in dict(class_weight).items()}  # type: ignore[arg-type]
        unknown = set(weights) - set(self.labels)
        if unknown or not all(isinstance(weight, int | float) and 0 <= weight < np.inf for weight in weights.values()):
            raise SettingsError(
                f"class_weight={class_weight!r}: give 'auto', 'root' or 'balanced', or a weight for labels of the "
                f"posts ({', '.join(self.labels)})",
                setting="class_weight",
            )
        return np.array([weights.get(label, 1.0) for label in self.labels])

    def loss(self, weights: "Tensor | None", label_smoothing: float) -> Callable[["Tensor", "Tensor"], "Tensor"]:
        """Return the cross-entropy of logits [B, C] and encoded labels [B], added up over posts.

        Args:
            weights: of the labels, float [C].
            label_smoothing: the share of each label that is spread over all.
        """
        from torch import nn

        return nn.CrossEntropyLoss(weights, label_smoothing=label_smoothing, reduction="sum")

    def total_weight(self, encoded: "Tensor", weights: "Tensor | None") -> "Tensor | int":
        """Return what the loss of posts is divided by: their number, or the sum of their labels' weights."""
        return len(encoded) if weights is None else weights[encoded].sum()

    def activate(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 [B, C]: in double, so that no row sums to anything but one."""
        powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def choose(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the number of each post's most probable label, int64 [N], from float [N, C]."""
        return probabilities.argmax(1)

    def answer(self, probabilities: np.ndarray, least_confidence: float = 0.0) -> tuple[str, float]:
        """Return the most probable label of one post, and its confidence.

        Args:
            probabilities: float [C].
            least_confidence: with less, the answer is ``UNSURE``.
        """
        best = int(self.choose(probabilities[None])[0])
        confidence = float(probabilities[best])
        return self.labels[best] if confidence >= least_confidence else UNSURE, confidence

    def metrics(self, encoded: np.ndarray, probabilities: np.ndarray) -> Metrics:
        """Score probabilities, float [N, C], against encoded labels, int64 [N]."""
        return compute_metrics(encoded, probabilities, self.labels)
