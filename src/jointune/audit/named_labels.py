"""Images that hold the name of a label in their text, by which a model could learn to read instead of to judge."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jointune.data.post import Posts


@dataclass(frozen=True)
class NamedLabel:
    """A label whose name was read in images.

    Attributes:
        label: the label.
        own: the numbers of posts with this label in whose images it was read.
        of_own: the number of posts with this label whose images were read.
        others: likewise of the posts with other labels.
        of_others: likewise.
    """

    label: str
    own: list[int]
    of_own: int
    others: list[int]
    of_others: int


def named_labels(posts: Posts, labels: Sequence[str]) -> list[NamedLabel]:
    """Find the names of labels in what was read in images; those found in most of their own posts come first.

    Spaces are often lost when an image is read, so that a name of four letters or more counts inside of words, too.

    Args:
        posts: with ``image_text``.
        labels: their names.
    """
    having = [(number, " ".join((post.image_text or "").casefold().split())) for number, post in enumerate(posts)]
    having = [(number, text) for number, text in having if posts[number].image_text is not None]
    found = []
    for label in labels:
        plain = label.casefold().strip()
        pattern = re.compile(re.escape(plain) if len(plain) >= 4 else rf"(?<!\w){re.escape(plain)}(?!\w)")
        hits = [number for number, text in having if plain and pattern.search(text)]
        own = [number for number in hits if posts[number].label == label]
        total = sum(posts[number].label == label for number, _ in having)
        others = [number for number in hits if posts[number].label != label]
        found.append(NamedLabel(label, own, total, others, len(having) - total))
    return sorted((one for one in found if one.own or one.others), key=lambda one: -len(one.own) / max(one.of_own, 1))
