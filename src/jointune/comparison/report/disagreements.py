"""The posts on which methods disagree most, with their pictures."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jointune.comparison.comparison import Comparison
from jointune.comparison.report.blocks import Card
from jointune.comparison.report.figures import score
from jointune.comparison.report.pooled import Pool
from jointune.data.image_file import ImageError
from jointune.data.post import ImageSource, Post
from jointune.modalities.image.open import open_image

SHOWN = 12
EDGE = 160
LONGEST = 500


def disagreements(comparison: Comparison, found: Sequence[Pool]) -> list[Card]:
    """The test posts whose predictions differ most between methods, most first, one of each group of equal posts.

    Args:
        comparison: whose posts they are.
        found: the predictions of each method.
    """
    if len(found) < 2:
        return []
    scores = np.stack([pool.by_post(len(comparison.posts)) for pool in found])
    cards: list[Card] = []
    groups: set[int] = set()
    for number in _ranked(scores):
        if comparison.groups[number] not in groups and len(cards) < SHOWN:
            groups.add(comparison.groups[number])
            cards.append(_card(comparison, number, [pool.method for pool in found], scores[:, number]))
    return cards


def _ranked(scores: np.ndarray) -> list[int]:
    """Numbers of the posts that are predicted differently, by the Jensen-Shannon divergence of all methods.

    Args:
        scores: mean probabilities, float [methods, posts, C].
    """
    known = np.isfinite(scores).all((0, 2))
    predicted = scores[:, known].argmax(2)
    divergence = _entropy(scores[:, known].mean(0)) - _entropy(scores[:, known]).mean(0)
    numbers = np.flatnonzero(known)
    split = (predicted != predicted[0]).any(0)
    order = np.argsort(-divergence.round(9), kind="stable")
    return [int(numbers[place]) for place in order if split[place]]


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(-1)


def _card(comparison: Comparison, number: int, methods: Sequence[str], scores: np.ndarray) -> Card:
    post = comparison.posts[number]
    picture, missing = _thumbnail(post.image)
    truth = int(comparison.truth[number])
    return Card(
        post.where if post.where != "post" else f"post {number + 1}",
        _shortened(post),
        comparison.labels[truth],
        picture,
        missing,
        [
            (method, comparison.labels[int(row.argmax())], score(float(row.max())), int(row.argmax()) == truth)
            for method, row in zip(methods, scores, strict=True)
        ],
    )


def _shortened(post: Post) -> str | None:
    if post.text is None or len(post.text) <= LONGEST:
        return post.text
    return f"{post.text[:LONGEST].rstrip()} …"


def _thumbnail(source: ImageSource | None) -> tuple[str | None, str]:
    """A small JPEG as a data URI, or why there is none."""
    if source is None:
        return None, "no picture"
    try:
        picture = open_image(source, at_least=(EDGE, EDGE))
    except ImageError as reason:
        return None, f"its picture can no longer be opened: {reason.reason}"
    picture.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}", ""
