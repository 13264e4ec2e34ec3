"""Find the posts on which methods disagree most, and show them with their images."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from jointune.comparison.comparison import Comparison
from jointune.comparison.figures import score
from jointune.comparison.report.pooled import Pool
from jointune.data.image_file import ImageError
from jointune.data.post import ImageSource
from jointune.modalities.image.open import open_image
from jointune.targets.target import Target

SHOWN = 12
EDGE = 160
LONGEST_TEXT = 500


def disagreements(comparison: Comparison, pools: Sequence[Pool]) -> list[dict[str, Any]]:
    """Return the test posts whose predictions differ most between methods, most first, one per group of equal posts.

    Each has its ``name``, true ``label``, ``text`` (None without one), ``image`` (a data URI, or None and then the
    reason in ``missing``), and ``predictions``: method, label, confidence, and True if it is right.
    """
    if len(pools) < 2:
        return []
    scores = np.stack([pool.by_post(len(comparison.posts)) for pool in pools])
    methods = [pool.method for pool in pools]
    first_of_group: dict[int, int] = {}
    for index in _ranked(scores, comparison.target):
        first_of_group.setdefault(comparison.groups[index], index)
    shown = list(first_of_group.values())[:SHOWN]
    return [_card(comparison, index, methods, scores[:, index]) for index in shown]


def _ranked(scores: np.ndarray, target: Target) -> list[int]:
    """Return the indices of posts that are predicted differently, by the divergence of all methods.

    Args:
        scores: mean answers, float [methods, posts, C].
        target: what is asked of the posts.
    """
    tested = np.flatnonzero(np.isfinite(scores).all((0, 2)))
    answers = scores[:, tested]
    divergence = target.divergence(answers)
    differing = ~np.all([target.same(own, answers[0]) for own in answers], axis=0)
    order = np.argsort(-divergence.round(9), kind="stable")
    return [int(tested[place]) for place in order if differing[place]]


def _card(comparison: Comparison, index: int, methods: Sequence[str], scores: np.ndarray) -> dict[str, Any]:
    post, target, truth = comparison.posts[index], comparison.target, comparison.truth[index : index + 1]
    text = post.whole_text
    if text is not None and len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT].rstrip()} …"
    image, missing = _thumbnail(next(iter(post.images), None))
    return {
        "name": post.where if post.where != "post" else f"post {index + 1}",
        "label": str(post.label),
        "text": text,
        "image": image,
        "missing": missing,
        "predictions": [
            (
                method,
                text,
                "" if confidence is None else score(confidence),
                bool(np.all(target.choose(row[None]) == truth)),
            )
            for method, row in zip(methods, scores, strict=True)
            for text, confidence in [target.answer(row)]
        ],
    }


def _thumbnail(source: ImageSource | None) -> tuple[str | None, str]:
    """Return a small JPEG as a data URI, or None and the reason why there is none."""
    if source is None:
        return None, "no picture"
    try:
        image = open_image(source, at_least=(EDGE, EDGE))
    except ImageError as reason:
        return None, f"its picture can no longer be opened: {reason.reason}"
    image.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.save(written, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}", ""
