"""Scores of whatever scores posts."""

import warnings

import numpy as np

from jointune.data.post import Posts
from jointune.data.problems import OnBadImage, Problem
from jointune.data.read import check_fields
from jointune.errors import JointuneWarning, PostsError
from jointune.evaluation.notes import notes_on_known
from jointune.evaluation.score_table import ScoreTable
from jointune.inference.predictor import Predictor
from jointune.modalities.text.text_fit import TextFitCounter


def evaluate_predictor(
    predictor: Predictor,
    posts: Posts,
    policy: OnBadImage = "error",
    problems: list[Problem] | None = None,
    batch_size: int = 32,
    progress: bool = False,
    part: str = "",
    notes: list[str] | None = None,
) -> ScoreTable:
    """Score labelled posts and compare, with a note where the scores are not what they seem.

    Args:
        predictor: of a bundle, or of an exported model.
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
    if predictor.columns:
        check_fields(predictor.columns, dict.fromkeys(name for post in posts for name in post.fields), posts.name)
    target = predictor.target
    target.encode(posts)
    fit = TextFitCounter(predictor.text)
    scored = list(predictor.stream(posts, policy, problems, posts.name, batch_size, progress, fit))
    if not scored:
        raise PostsError(f"{posts.name}: no post is left to evaluate on")
    kept = Posts(entry.post for entry in scored)
    truth, answers = target.encode(kept), np.stack([entry.probabilities for entry in scored])
    metrics = target.metrics(truth, answers)
    found = target.notes_on_answers(metrics, part)
    if predictor.learned is not None:
        found += notes_on_known(predictor.learned.known(kept), truth, answers, target.metrics, part)
    found += [note for one in predictor.preprocessors.values() for note in one.notes(kept, part)]
    if not part:  # of posts that training was given, it tells by itself how their texts fit
        found += predictor.notes_on_texts(fit)
    if notes is not None:
        notes += found
    else:
        for note in found:
            warnings.warn(note, JointuneWarning, stacklevel=4)  # whoever called ``JointClassifier.evaluate``
    return metrics
