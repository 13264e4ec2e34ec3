"""Scores of whatever scores posts."""

import warnings

import numpy as np

from jointune.batches.text_fit import TextFitCounter
from jointune.errors import JointuneWarning, PostsError
from jointune.evaluation.metrics import Metrics, compute_metrics
from jointune.evaluation.notes import notes_on_answers, notes_on_known
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
    part: str = "",
    notes: list[str] | None = None,
) -> Metrics:
    """Score labelled posts and compare, with a note where the scores are not what they seem.

    Args:
        scorer: of a bundle, or of an exported model.
        posts: labelled.
        policy: what to do about a picture that cannot be read.
        problems: takes what was wrong with posts that were skipped or scored without their picture.
        batch_size: posts a batch.
        progress: whether a bar is shown while the text in pictures is read.
        part: what notes call the posts, such as ``test``.
        notes: takes what to know before the scores are trusted; by default, each is given as a ``JointuneWarning``.

    Raises:
        PostsError: a post cannot be used, has no label, or has one that was not in training.
    """
    if not posts:
        raise PostsError(f"{posts.name}: no posts to evaluate on")
    class_numbers(posts, scorer.labels)
    fit = TextFitCounter(scorer.text)
    scored = list(scorer.stream(posts, policy, problems, posts.name, batch_size, progress, fit))
    if not scored:
        raise PostsError(f"{posts.name}: no post is left to evaluate on")
    kept = Posts(entry.post for entry in scored)
    truth, probabilities = class_numbers(kept, scorer.labels), np.stack([entry.probabilities for entry in scored])
    metrics = compute_metrics(truth, probabilities, scorer.labels)
    found = notes_on_answers(metrics, part)
    if scorer.learned is not None:
        found += notes_on_known(scorer.learned.known(kept), truth, probabilities, scorer.labels, part)
    if not part:  # of posts that training was given, it tells by itself how their texts fit
        found += scorer.notes_on_texts(fit)
    if notes is not None:
        notes += found
    else:
        for note in found:
            warnings.warn(note, JointuneWarning, stacklevel=4)  # whoever called ``JointClassifier.evaluate``
    return metrics
