"""Posts on a page: name, label, text, a thumbnail, and what was predicted."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError
from jointune.data.post import ImageSource, Post
from jointune.modalities.image.open import open_image
from jointune.output.pages.figures import score
from jointune.targets.target import Target

SHOWN = 12
"""Posts that are shown of a kind."""

_MOST_IMAGES = 4
"""Images of a post that are shown."""

_EDGE = 160
_LONGEST_TEXT = 500

Prediction = tuple[str, str, str, bool]
"""Who predicts, the answer, its confidence if it has one, and whether it is right."""


def card(post: Post, number: int, predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Describe a post for the template.

    Args:
        post: labelled.
        number: of the post, from 1, if it has no name.
        predictions: of each who predicts.

    Returns:
        Its ``name``, true ``label``, ``text`` (None without one), what ``thumbnails`` returns, and ``predictions``.
    """
    text = post.whole_text
    if text is not None and len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT].rstrip()} …"
    return {
        "name": post.where if post.where != "post" else f"post {number}",
        "label": str(post.label),
        "text": text,
        **thumbnails(post),
        "predictions": predictions,
    }


def prediction(who: str, target: Target, row: np.ndarray, right: bool) -> Prediction:
    """Return an answer, float [C], as a card shows it."""
    text, confidence = target.answer(row)
    return who, text, "" if confidence is None else score(confidence), right


def parting(scores: np.ndarray, target: Target) -> list[int]:
    """Return the indices of posts that are predicted differently, by the divergence of all who predict, most first.

    Args:
        scores: answers, float [M, N, C].
        target: what is asked of the posts.
    """
    divergence = target.divergence(scores)
    differing = ~np.all([target.same(own, scores[0]) for own in scores], axis=0)
    order = np.argsort(-divergence.round(9), kind="stable")
    return [int(place) for place in order if differing[place]]


def one_of_each(indices: Sequence[int], groups: Sequence[int]) -> list[int]:
    """Return the first indices, at most ``SHOWN``, without a second one of a group of equal posts."""
    first_of_group: dict[int, int] = {}
    for index in indices:
        first_of_group.setdefault(groups[index], index)
    return list(first_of_group.values())[:SHOWN]


def thumbnails(post: Post) -> dict[str, Any]:
    """Return the first ``images`` of a post, each a data URI or None with a reason, and how many ``more`` there are."""
    shown = [_thumbnail(source) for source in post.images[:_MOST_IMAGES]]
    return {"images": shown or [(None, "no picture")], "more": len(post.images[_MOST_IMAGES:])}


def _thumbnail(source: ImageSource) -> tuple[str | None, str]:
    try:
        image = open_image(source, at_least=(_EDGE, _EDGE))
    except ImageError as reason:
        return None, f"its picture can no longer be opened: {reason.reason}"
    image.thumbnail((_EDGE, _EDGE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.save(written, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}", ""
