"""The part that targets with one label a post share."""

from typing import TYPE_CHECKING

import numpy as np

from jointune.data.label_checks import class_numbers
from jointune.data.labels import UNSURE
from jointune.data.post import Posts
from jointune.targets.target import Target

if TYPE_CHECKING:
    from torch import Tensor


class OneLabel(Target):
    """A target with one of several labels a post, and a probability for each."""

    def encode(self, posts: Posts) -> np.ndarray:
        """Return the number of each post's label, int64 [N]."""
        return class_numbers(posts, self.labels)

    def total_weight(self, encoded: "Tensor", weights: "Tensor | None") -> "Tensor | int":
        return len(encoded) if weights is None else weights[encoded].sum()

    def post_weights(self, encoded: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        return np.ones(len(encoded)) if weights is None else weights[encoded]

    def texts(self, chosen: np.ndarray) -> list[str]:
        return [self.labels[number] for number in chosen]

    def answer(self, row: np.ndarray, least_confidence: float = 0.0) -> tuple[str, float | None]:
        best = int(self.choose(row[None])[0])
        confidence = float(row[best])
        return self.labels[best] if confidence >= least_confidence else UNSURE, confidence
