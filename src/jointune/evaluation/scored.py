"""Scores of whatever scores posts."""

from collections.abc import Sequence

import numpy as np

from jointune.errors import PostsError
from jointune.evaluation.metrics import Metrics, compute_metrics
from jointune.posts.post import Posts
from jointune.posts.problems import OnBadImage, Problem, raise_problems
from jointune.scorer import Scorer


def evaluate_scorer(
    scorer: Scorer,
    posts: Posts,
    policy: OnBadImage = "error",
    problems: list[Problem] | None = None,
    progress: bool = False,
) -> Metrics:
    """Score labelled posts and compare.

    Args:
        scorer: of a bundle, or of an exported model.
        posts: labelled.
        policy: what to do about a picture that cannot be read.
        problems: takes what was wrong with posts that were skipped or scored without their picture.
        progress: whether a bar is shown while the text in pictures is read.

    Raises:
        PostsError: a post cannot be used, has no label, or has one that was not in training.
    """
    if not posts:
        raise PostsError(f"{posts.name}: no posts to evaluate on")
    class_numbers(posts, scorer.labels)
    scored = list(scorer.stream(posts, policy, problems, posts.name, progress=progress))
    if not scored:
        raise PostsError(f"{posts.name}: no post is left to evaluate on")
    truth = class_numbers(Posts(entry.post for entry in scored), scorer.labels)
    return compute_metrics(truth, np.stack([entry.probabilities for entry in scored]), scorer.labels)


def class_numbers(posts: Posts, labels: Sequence[str]) -> np.ndarray:
    """The place of each post's label among ``labels``, int64 [N].

    Raises:
        PostsError: a post has no label, or another one.
    """
    raise_problems(
        [
            Problem(post.where, "label", "the post has no label", "label it or remove the row")
            if post.label is None
            else Problem(
                post.where,
                "label",
                f"{post.label!r} is not a label of the training posts ({', '.join(labels)})",
                "correct or remove it",
            )
            for post in posts
            if post.label not in labels
        ],
        posts.name,
    )
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers[str(post.label)] for post in posts], dtype=np.int64)
