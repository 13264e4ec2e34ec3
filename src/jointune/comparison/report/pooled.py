"""The predictions of a method's trainings at one budget, taken together."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jointune.comparison.comparison import Comparison
from jointune.comparison.protocol import Budget
from jointune.evaluation.metrics import Metrics, compute_metrics, confidence_bins

BINS = 15


@dataclass(frozen=True)
class Pool:
    """Every prediction of a method on test posts, over folds and seeds; a post counts once a training.

    Attributes:
        method: its name.
        posts: the post's number, int [N].
        truth: class numbers, int [N].
        scores: probabilities, float [N, C].
        labels: C label names.
    """

    method: str
    posts: np.ndarray
    truth: np.ndarray
    scores: np.ndarray
    labels: list[str]

    @cached_property
    def metrics(self) -> Metrics:
        """The scores of all predictions together; their intervals count every post once."""
        repeats = len(self.posts) / len(np.unique(self.posts))
        return compute_metrics(self.truth, self.scores, self.labels, repeats)

    @property
    def confidence(self) -> np.ndarray:
        """The highest probability of each prediction, float [N]."""
        return self.scores.max(1)

    @property
    def right(self) -> np.ndarray:
        """Whether each prediction is right, bool [N]."""
        return self.scores.argmax(1) == self.truth

    def bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean confidence, share of right ones, and number of predictions in each bin of confidence that has any."""
        place = confidence_bins(self.confidence, BINS)
        number = np.bincount(place, minlength=BINS)
        kept = number > 0
        sure = np.bincount(place, weights=self.confidence, minlength=BINS)[kept] / number[kept]
        right = np.bincount(place, weights=self.right, minlength=BINS)[kept] / number[kept]
        return sure, right, number[kept]

    def by_post(self, posts: int) -> np.ndarray:
        """Mean probabilities of every post over the trainings, float [posts, C]; NaN where it was not tested."""
        total = np.zeros((posts, len(self.labels)))
        np.add.at(total, self.posts, self.scores)
        times = np.bincount(self.posts, minlength=posts)[:, None]
        return np.divide(total, times, out=np.full_like(total, np.nan), where=times > 0)


def pools(comparison: Comparison, budget: Budget) -> list[Pool]:
    """The pooled predictions of every method that has a finished training at ``budget``."""
    found = []
    for method in comparison.methods:
        if results := comparison.of(method, budget):
            posts = np.concatenate([result.test for result in results])
            scores = np.concatenate([result.test_scores for result in results]).astype(np.float64)
            found.append(Pool(method, posts, comparison.truth[posts], scores, comparison.labels))
    return found
