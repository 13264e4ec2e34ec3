"""Parts of the posts on which answers are less often right, or less often than they are confident."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from jointune.data.image_file import ImageError
from jointune.data.post import Post
from jointune.evaluation.intervals import wilson
from jointune.modalities.image.open import image_size

_FEWEST = 20
"""Posts of a slice, at least."""
_HASHTAGS = 15
"""The most frequent ones are slices."""
_HASHTAG = re.compile(r"#\w+")
_LONGER = 1.25
"""The longer side of an image that is not square, in shorter ones, at least."""

Members = Sequence[tuple[str, np.ndarray]]
"""Slices: what their posts have in common, and which posts they are, bool [N]."""


@dataclass(frozen=True)
class Slice:
    """Posts that have something in common.

    Attributes:
        name: what they have.
        posts: how many they are.
        accuracy: the share of right answers.
        low: of its interval, which is corrected for the number of slices after Bonferroni.
        high: likewise.
        confidence: the mean confidence of the answers.
        rest: the accuracy on all other posts.
    """

    name: str
    posts: int
    accuracy: float
    low: float
    high: float
    confidence: float
    rest: float

    @property
    def value(self) -> float:
        """The accuracy, as drawings call it."""
        return self.accuracy

    @property
    def faults(self) -> list[str]:
        """What is wrong with the answers, as far as the interval tells: ``weak``, ``too sure`` or ``too unsure``.

        They are weak if the whole interval is below the accuracy on the other posts.
        """
        wrong = {
            "weak": self.high < self.rest,
            "too sure": self.high < self.confidence,
            "too unsure": self.confidence < self.low,
        }
        return [fault for fault, found in wrong.items() if found]


def slices(members: Members, right: np.ndarray, confidence: np.ndarray) -> list[Slice]:
    """Return what is known of each slice that is neither too small nor nearly all posts, the least accurate first.

    All intervals together hold the true accuracies with a probability of 95 %.

    Args:
        members: the slices.
        right: whether each answer is right, bool [N].
        confidence: of each answer, float [N].
    """
    from scipy.stats import norm

    members = [(name, chosen) for name, chosen in members if _FEWEST <= chosen.sum() <= len(right) - _FEWEST]
    quantile = float(norm.isf(0.025 / max(len(members), 1)))
    found = []
    for name, chosen in members:
        count, accuracy = int(chosen.sum()), float(right[chosen].mean())
        low, high = wilson(int(right[chosen].sum()), count, quantile)
        sure, rest = float(confidence[chosen].mean()), float(right[~chosen].mean())
        found.append(Slice(name, count, accuracy, low, high, sure, rest))
    return sorted(found, key=lambda one: one.accuracy)


def members(posts: Sequence[Post]) -> list[tuple[str, np.ndarray]]:
    """Return slices by length and script of the text, size and shape of the image, and frequent hashtags."""
    texts = [post.whole_text or "" for post in posts]
    return [*_by_text(texts), *_by_image(posts), *_by_hashtag(texts)]


def _by_text(texts: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    lengths = np.array([len(text.split()) for text in texts])
    having = lengths > 0
    yield "no text", ~having
    if having.any():
        short, long = np.quantile(lengths[having], [0.25, 0.75])
        yield f"texts of at most {short:.0f} words", having & (lengths <= short)
        yield f"texts of {long:.0f} words or more", having & (lengths >= long)
    scripts = np.array([script(text) for text in texts])
    for name in sorted(set(scripts[having])):
        yield f"texts in {name} script" if name else "texts without letters", having & (scripts == name)


def script(text: str) -> str:
    """Return the script of most letters of a text, as Unicode names it, such as ``Latin``; empty without letters."""
    plain = unicodedata.normalize("NFKC", text)  # decorative letters are those that they stand for
    names = Counter(unicodedata.name(letter, "other").split()[0] for letter in plain if letter.isalpha())
    name = names.most_common(1)[0][0].capitalize() if names else ""
    return "Han" if name == "Cjk" else name


def _by_image(posts: Sequence[Post]) -> Iterator[tuple[str, np.ndarray]]:
    yield "no image", np.array([not post.images for post in posts], dtype=bool)
    sizes = np.array([_size(post) or (np.nan, np.nan) for post in posts], dtype=float).reshape(-1, 2)
    shorter = sizes.min(1)
    known = ~np.isnan(shorter)
    if known.any():
        small, large = np.quantile(shorter[known], [0.25, 0.75])
        yield f"images of at most {small:.0f} pixels", known & (shorter <= small)
        yield f"images of {large:.0f} pixels or more", known & (shorter >= large)
    width, height = sizes.T
    wide, upright = width >= _LONGER * height, height >= _LONGER * width
    yield "wide images", wide
    yield "upright images", upright
    yield "images that are nearly square", known & ~wide & ~upright


def _size(post: Post) -> tuple[int, int] | None:
    with suppress(ImageError):
        return image_size(post.images[0]) if post.images else None
    return None


def _by_hashtag(texts: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    tags = [set(map(str.casefold, _HASHTAG.findall(text))) for text in texts]
    for tag, _ in Counter(tag for own in tags for tag in own).most_common(_HASHTAGS):
        yield tag, np.array([tag in own for own in tags])
