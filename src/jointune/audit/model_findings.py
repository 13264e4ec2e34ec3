"""A model's weak and badly calibrated slices, and its robustness, on posts that it was not trained on."""

from dataclasses import dataclass

import numpy as np

from jointune.audit.robustness import Loss, losses
from jointune.audit.slices import Slice, members, slices
from jointune.data.fingerprints import Known
from jointune.data.post import Posts
from jointune.data.problems import OnBadImage, Problem
from jointune.inference.evaluate import evaluation_of
from jointune.inference.predictor import Predictor


@dataclass(frozen=True)
class ModelFindings:
    """What is found about a model.

    Attributes:
        posts: those that it was not trained on.
        accuracy: on them; NaN where there are none.
        confidence: the mean confidence of its answers to them; likewise.
        learned: the number of posts that are left out, since the model learned from them or from posts with the same
            text or image; None where the model does not tell.
        validated: the number of ``posts`` that the model was validated on.
        slices: the least accurate first.
        losses: by change.
    """

    posts: Posts
    accuracy: float
    confidence: float
    learned: int | None
    validated: int
    slices: list[Slice]
    losses: list[Loss]


def model_findings(
    predictor: Predictor,
    posts: Posts,
    seed: int = 0,
    policy: OnBadImage = "error",
    problems: list[Problem] | None = None,
    progress: bool = False,
) -> ModelFindings:
    """Score posts as they are and changed; take and raise what ``evaluation_of`` does.

    Args:
        predictor: the model, with a target of one label a post.
        posts: labelled.
        seed: draws the posts that are changed.
        policy: what to do about an image that cannot be read.
        problems: takes what was wrong with posts.
        progress: whether a bar is shown while the text in images is read.
    """
    scored = evaluation_of(predictor, posts, policy, problems, progress=progress)
    known = np.zeros(len(scored.posts)) if predictor.learned is None else predictor.learned.known(scored.posts)
    left = np.flatnonzero(np.isin(known, (Known.NOTHING, Known.VALIDATION)))
    unlearned, answers = scored.posts.take(left), scored.answers[left]
    right = (scored.chosen == scored.truth)[left]
    confidence = scored.target.confidences(answers, scored.chosen[left])
    return ModelFindings(
        unlearned,
        float(right.mean()) if len(left) else np.nan,
        float(confidence.mean()) if len(left) else np.nan,
        None if predictor.learned is None else len(known) - len(left),
        int((known == Known.VALIDATION).sum()),
        slices(members(unlearned), right, confidence) if len(left) else [],
        losses(predictor, unlearned, answers, seed, policy),
    )
