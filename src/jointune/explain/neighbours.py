"""The nearest training posts in the joint space."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jointune.data.post import Post, Posts
from jointune.data.problems import OnBadImage
from jointune.errors import PostsError
from jointune.inference.predictor import JOINT, Predictor


@dataclass(frozen=True)
class Neighbour:
    """A training post near a post.

    Attributes:
        post: the training post.
        similarity: the cosine of both vectors.
    """

    post: Post
    similarity: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, without the image."""
        return {"post": self.post.where, "label": self.post.label, "similarity": self.similarity}


class Neighbours:
    """Training posts by their joint vectors.

    Args:
        posts: the posts.
        vectors: of the posts, float [N, D].
    """

    def __init__(self, posts: Sequence[Post], vectors: np.ndarray) -> None:
        self._posts, self._directions = posts, _directions(vectors)

    @classmethod
    def of(
        cls, predictor: Predictor, posts: Posts, policy: OnBadImage = "error", progress: bool = False
    ) -> "Neighbours":
        """Compute the joint vectors of training posts; see ``Predictor.chunks`` for the arguments and errors."""
        chunks = predictor.chunks(posts, policy, posts.name, progress=progress, of=JOINT)
        scored = [one for chunk in chunks for one in chunk.scored]
        if not scored:
            raise PostsError(f"{posts.name}: no post is left to compare with")
        return cls([one.post for one in scored], np.stack([one.probabilities for one in scored]))

    def nearest(self, vector: np.ndarray, count: int = 5) -> list[Neighbour]:
        """Return the posts whose vectors have the highest cosine with ``vector``, float [D], the nearest first."""
        similarities = self._directions @ _directions(vector[None])[0]
        order = np.argsort(-similarities, kind="stable")[:count]
        return [Neighbour(self._posts[number], float(similarities[number])) for number in order]


def _directions(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))
