"""The posts that all trials of a tuning share, and one trial on them."""

import time
import warnings
from dataclasses import dataclass, replace
from typing import Any

from jointune.classifier import JointClassifier
from jointune.data.divide import divide
from jointune.data.label_checks import check_parts
from jointune.data.post import Posts
from jointune.data.problems import Problem
from jointune.data.records import as_posts
from jointune.errors import JointuneWarning, PostsError
from jointune.modalities.check import usable
from jointune.modalities.image.first_images import FirstImages
from jointune.targets.choice import chosen_target
from jointune.utils.progress import progress_bar


@dataclass(frozen=True)
class TrialData:
    """Posts of all trials, and problems of posts with a bad image that were skipped or stripped of it."""

    training: Posts
    validation: Posts
    problems: list[Problem]


def divide_for_trials(posts: Any, validation: Any, fixed: dict[str, Any], progress: bool) -> TrialData:
    """Divide the posts as ``JointClassifier.fit`` does: a later training with the same arguments repeats a trial.

    Posts with a bad image are therefore left out before a fraction is held out.
    """
    setup = JointClassifier(**fixed)
    columns, problems = setup.columns(), []
    first_images = FirstImages(setup.max_images)

    def with_good_images(part: Posts) -> Posts:
        with progress_bar("checking posts", "posts", progress) as bar:
            good, passed = usable(first_images.of(part), fixed["on_bad_image"], setup.frames, bar)
        if not good:
            raise PostsError(f"{part.name}: no posts to tune on")
        problems.extend(passed)
        return good

    division = divide(as_posts(posts, use=columns, labelled=True), validation, use=columns)
    for note in division.notes:
        warnings.warn(note, JointuneWarning, stacklevel=4)  # the caller of the decorated tune
    training = with_good_images(division.training)
    if division.fraction is None:
        held_out = with_good_images(division.validation)
        check_parts(training, held_out, asked=division.asked)
    else:
        check_parts(training, None, asked=division.asked)
        training, held_out = replace(division, training=training).held_out(fixed["seed"])
    for note in first_images.notes:
        warnings.warn(note, JointuneWarning, stacklevel=4)
    return TrialData(training, held_out, problems)


def score_settings(settings: dict[str, Any], data: TrialData, progress: bool) -> dict[str, Any]:
    """Train a classifier with these settings; return its scores, its predictions, and the seconds that it took."""
    began = time.monotonic()
    classifier = JointClassifier(**settings | {"keep_vectors": 0}, progress=progress)  # it is not saved
    classifier.fit(data.training, validation=data.validation)
    scores = chosen_target(settings).logged(classifier.metrics_)
    predicted = classifier.predictor_.target.choose(classifier.answers(data.validation)).tolist()
    return {"scores": scores, "predicted": predicted, "seconds": time.monotonic() - began}
