"""Pool the predictions of a method's trainings at one budget."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jointune.comparison.comparison import Comparison
from jointune.evaluation.metrics import Metrics, compute_metrics, confidence_bins
from jointune.targets.single_label import SingleLabel

BINS = 15


@dataclass(frozen=True)
class Pool:
    """All predictions of a method on test posts, over folds and seeds; a post counts once per training.

    Attributes:
        method: its name.
        posts: indices of the posts, int [N].
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
        """True for each right prediction, bool [N]."""
        return SingleLabel(self.labels).choose(self.scores) == self.truth

    def bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean confidence, share of right ones and number of the predictions in each bin that has any."""
        bin_of = confidence_bins(self.confidence, BINS)
        number = np.bincount(bin_of, minlength=BINS)
        filled = number > 0
        sums = (np.bincount(bin_of, weights=values, minlength=BINS) for values in (self.confidence, self.right))
        confidence, right = (total[filled] / number[filled] for total in sums)
        return confidence, right, number[filled]

    def by_post(self, posts: int) -> np.ndarray:
        """Return mean probabilities of every post over the trainings, float [posts, C]; NaN if it was not tested."""
        total = np.zeros((posts, len(self.labels)))
        np.add.at(total, self.posts, self.scores)
        times = np.bincount(self.posts, minlength=posts)[:, None]
        return np.divide(total, times, out=np.full_like(total, np.nan), where=times > 0)


def pool_predictions(comparison: Comparison, budget: int | None) -> list[Pool]:
    """Pool the predictions of every method that has a finished training at ``budget``."""
    pools = []
    for method in comparison.methods:
        if results := comparison.of(method, budget):
            posts = np.concatenate([result.test for result in results])
            scores = np.concatenate([result.test_scores for result in results]).astype(np.float64)
            pools.append(Pool(method, posts, comparison.truth[posts], scores, comparison.labels))
    return pools
