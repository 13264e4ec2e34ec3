"""Score one post, and say the answer in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from jointune.data.labels import UNSURE
from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.evaluation.calibration import presence
from jointune.explain.explainer import METHODS, Explainer
from jointune.inference.predictor import Predictor
from jointune.inference.scored import Scored
from jointune.modalities.batch import post_parts
from jointune.modalities.image.first_images import FirstImages
from jointune.output.pages.explanation_page import render

_MIN_MEASURED = 30  # validation posts on which a stated frequency rests, at least

_NAMES = {"image": "picture", "audio": "sound"}
"""Modalities that the page calls otherwise."""


@dataclass(frozen=True)
class Verdict:
    """The answer that the page shows.

    Attributes:
        sentences: the answer, how sure it is, and what was missing; or why there is none.
        probabilities: of each label; empty if there is no answer.
    """

    sentences: list[str]
    probabilities: dict[str, float] = field(default_factory=dict)


def judge(
    predictor: Predictor,
    text: str | None,
    image: str | Path | None,
    more: Mapping[str, object] | None = None,
    further: Sequence[str | Path] = (),
) -> Verdict:
    """Score the page's inputs as one post.

    Args:
        predictor: the model.
        text: may be None or blank.
        image: the path of a file.
        more: the values of ``predictor.reads``, by name.
        further: the paths of further images.

    Raises:
        JointuneError: something is missing that the model needs, such as the OCR.
    """
    post = entered_post(predictor, text, image, more, further)
    if post.empty and not post.fields:
        return Verdict(["Type a text, choose a picture, or do both: there is nothing to judge yet."])
    problems: list[Problem] = []
    first_images = FirstImages(predictor.image.max_images)
    scored = list(predictor.stream(first_images.of([post]), "skip", problems))
    if not scored:
        what = "picture" if problems[0].about_image else "file"
        which = f" ({problems[0].what})" if problems[0].about_image and len(post.images) > 1 else ""
        return Verdict([f"This {what} cannot be used{which}: {problems[0].reason}. Choose another one."])
    row = scored[0].probabilities
    cut = [f"Of {len(post.images)} pictures, {predictor.image.max_images} were looked at."] if first_images.cut else []
    confidence = predictor.target.answer(row)[1]
    sentences = [
        *_answer(predictor, row),
        *cut,
        *_missing(scored[0], predictor),
        *_measured(predictor, scored[0], confidence),
        *_unlike(scored[0]),
    ]
    return Verdict(sentences, predictor.target.bars(row))


def entered_post(
    predictor: Predictor,
    text: str | None,
    image: str | Path | None,
    more: Mapping[str, object] | None = None,
    further: Sequence[str | Path] = (),
) -> Post:
    """Return the page's inputs as a post; see ``judge``."""
    images = [Path(path) for path in (image, *further) if path]
    return Post(text if text and text.strip() else None, images, **post_parts(predictor.reads, more or {}))


def why(predictor: Predictor, post: Post) -> str:
    """Return the explanation of a post as HTML: a page in a frame, which neither runs nor loads anything.

    Raises:
        JointuneError: the post cannot be used.
    """
    if post.empty and not post.fields:
        return ""
    page = render(list(Explainer(predictor).explain([post])), METHODS[0], "the model")
    return f'<iframe title="Why the model answers so" sandbox srcdoc="{escape(page)}"></iframe>'


def _answer(predictor: Predictor, row: np.ndarray) -> list[str]:
    best, _ = predictor.target.answer(row)
    answer, confidence = predictor.answer(row)
    if answer == UNSURE != best:
        least = predictor.least_confidence
        return [
            "The model is unsure.",
            f"Its best guess is {best}, with {confidence:.1%} confidence; it answers from {least:.1%} on.",
        ]
    return [predictor.target.sentence(row)]


def _unlike(scored: Scored) -> list[str]:
    """Say what is unusual about a post, if it was compared with the training posts."""
    if scored.unlike is None or not scored.unlike.unlike:
        return []
    part = {"pairing": "pairing of text and picture"}.get(scored.unlike.unlike, scored.unlike.unlike)
    part = part.replace("image", "picture").replace("+", " and ")
    return [f"Its {part} is unlike the training posts: be wary of the answer."]


def _missing(scored: Scored, predictor: Predictor) -> list[str]:
    given = [_NAMES.get(name, name) for name in _modalities(scored, predictor)]
    absent = [_NAMES.get(name, name) for name in ("text", "image") if getattr(scored.post, name) is None]
    return [f"No {' and no '.join(absent)}: judged by the {' and the '.join(given)} alone."] if absent else []


def _modalities(scored: Scored, predictor: Predictor) -> list[str]:
    """Return the names of the modalities that a post has."""
    post, held = scored.post, scored.held.split("+")
    own = {"text": post.text is not None, "image": post.image is not None, "fields": bool(post.fields)}
    return [name for name in predictor.preprocessors if own.get(name, name in held)]


def _measured(predictor: Predictor, scored: Scored, confidence: float | None) -> list[str]:
    """Say how often answers of like confidence were right, if that was measured on enough posts like this one."""
    calibration = predictor.about.get("calibration") or {}
    names = _modalities(scored, predictor)
    pattern, content = presence(names), " and ".join(_NAMES.get(name, name) for name in names)
    for low, high, right, posts in calibration.get("by_presence", {}).get(pattern, []):
        if confidence is not None and low < confidence <= high and posts >= _MIN_MEASURED:
            alone = " alone" * (len(names) == 1)
            like_this = f"validation posts with {content}{alone} and a confidence from {low:.0%} to {high:.0%}"
            return [f"Of {posts:,} {like_this}, {right:,} were answered rightly."]
    return []
