"""Scores of whatever scores posts."""

import numpy as np

from jointune.errors import PostsError
from jointune.evaluation.metrics import Metrics, compute_metrics
from jointune.posts.check import class_numbers
from jointune.posts.post import Posts
from jointune.posts.problems import OnBadImage, Problem
from jointune.scorer import Scorer


def evaluate_scorer(
    scorer: Scorer,
    posts: Posts,
    policy: OnBadImage = "error",
    problems: list[Problem] | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> Metrics:
    """Score labelled posts and compare.

    Args:
        scorer: of a bundle, or of an exported model.
        posts: labelled.
        policy: what to do about a picture that cannot be read.
        problems: takes what was wrong with posts that were skipped or scored without their picture.
        batch_size: posts a batch.
        progress: whether a bar is shown while the text in pictures is read.

    Raises:
        PostsError: a post cannot be used, has no label, or has one that was not in training.
    """
    if not posts:
        raise PostsError(f"{posts.name}: no posts to evaluate on")
    class_numbers(posts, scorer.labels)
    scored = list(scorer.stream(posts, policy, problems, posts.name, batch_size, progress))
    if not scored:
        raise PostsError(f"{posts.name}: no post is left to evaluate on")
    truth = class_numbers(Posts(entry.post for entry in scored), scorer.labels)
    return compute_metrics(truth, np.stack([entry.probabilities for entry in scored]), scorer.labels)
