"""The order in which to label posts: those first that a model is least sure of, and that differ from one another."""

from dataclasses import dataclass

import numpy as np

from jointune.data.post import Post, Posts
from jointune.data.problems import OnBadImage, Problem
from jointune.errors import PostsError
from jointune.inference.predictor import Predictor

_CANDIDATES = 1000
"""Posts of which the model is least sure, among which different ones come first."""


@dataclass(frozen=True)
class Next:
    """A post to be labelled.

    Attributes:
        post: the post.
        answer: what the model says, by its name.
        margin: by how much that label is more probable than the second.
    """

    post: Post
    answer: str
    margin: float


def label_next(
    predictor: Predictor, posts: Posts, policy: OnBadImage = "error", problems: list[Problem] | None = None
) -> list[Next]:
    """Order posts by how much their labels would tell.

    The posts of the least margins are candidates (Citovsky et al., 2021, arXiv 2107.14263). Of them, the least sure is
    first, and then always the one whose distance to those before it, in the joint space, times one minus its margin is
    greatest (after Gonzalez, 1985). All other posts follow by their margins.

    Args:
        predictor: a model whose answers are probabilities of labels.
        posts: without labels, or with some that do not count.
        policy: what to do about an image that cannot be read.
        problems: takes what was wrong with posts.

    Raises:
        PostsError: a post cannot be used, or none is left.
        SettingsError: the model has no joint vectors.
    """
    scored = list(predictor.stream(posts, policy, problems, posts.name))
    if not scored:
        raise PostsError(f"{posts.name}: no post is left to be labelled")
    answers = np.stack([one.probabilities for one in scored])
    first, second = np.sort(answers, axis=1)[:, :-3:-1].T
    margins = first - second
    order = np.argsort(margins, kind="stable")
    candidates = order[:_CANDIDATES]
    kept: OnBadImage = "error" if policy == "error" else "missing"
    vectors = predictor.embed([scored[number].post for number in candidates], policy=kept)
    order = np.concatenate([candidates[_spread(vectors, 1 - margins[candidates])], order[_CANDIDATES:]])
    texts = predictor.target.texts(predictor.target.choose(answers))
    return [Next(scored[number].post, texts[number], float(margins[number])) for number in order]


def _spread(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the numbers of all vectors: that of the greatest weight, then always the farthest one, by its weight.

    Args:
        vectors: float [N, D].
        weights: float [N].
    """
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    nearest = np.full(len(vectors), np.inf)
    chosen = [int(np.argmax(weights))]
    left = np.ones(len(vectors), dtype=bool)
    while len(chosen) < len(vectors):
        left[chosen[-1]] = False
        nearest = np.minimum(nearest, 1 - directions @ directions[chosen[-1]])
        chosen.append(int(np.argmax(np.where(left, np.maximum(nearest, 0) * weights, -1))))
    return np.array(chosen)
