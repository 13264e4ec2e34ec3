"""Pool the predictions of a method's trainings at one budget."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jointune.comparison.comparison import Comparison
from jointune.evaluation.score_table import ScoreTable
from jointune.targets.target import Target


@dataclass(frozen=True)
class Pool:
    """All predictions of a method on test posts, over folds and seeds; a post counts once per training.

    Attributes:
        method: its name.
        posts: indices of the posts, int [N].
        truth: encoded labels, [N, ...].
        scores: answers, float [N, C].
        predicted: of the kind of ``truth``.
        target: what is asked of the posts.
    """

    method: str
    posts: np.ndarray
    truth: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray
    target: Target

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the answers."""
        return self.target.labels

    @cached_property
    def metrics(self) -> ScoreTable:
        """The scores of all predictions together; their intervals count every post once."""
        repeats = len(self.posts) / len(np.unique(self.posts))
        return self.target.metrics(self.truth, self.scores, repeats, self.predicted)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of each prediction, float [N]."""
        return self.target.confidences(self.scores, self.predicted)

    @property
    def right(self) -> np.ndarray:
        """True for each right prediction, bool [N]."""
        return np.asarray(self.predicted == self.truth)

    def by_post(self, posts: int) -> np.ndarray:
        """Return mean probabilities of every post over the trainings, float [posts, C]; NaN if it was not tested."""
        total = np.zeros((posts, self.scores.shape[1]))
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
            predicted = np.concatenate([comparison.predicted(result) for result in results])
            pools.append(Pool(method, posts, comparison.truth[posts], scores, predicted, comparison.target))
    return pools
