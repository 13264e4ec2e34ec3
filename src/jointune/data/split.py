"""Hold out validation posts, stratified by label and sharing no image and no text with the training posts."""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError, image_digest
from jointune.data.post import Posts
from jointune.errors import PostsError, SettingsError, setting


def plain_text(text: str) -> str:
    """Return a text for comparison: its case and white space do not count."""
    return " ".join(text.casefold().split())


def identity_groups(posts: Posts) -> list[int]:
    """Return a group number a post, equal for posts that share an image or a text, directly or through other posts.

    Images are the same if their files are, texts if only case and white space differ.
    """
    parent = list(range(len(posts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[Hashable, int] = {}
    digests: dict[Hashable, bytes] = {}
    for index, post in enumerate(posts):
        keys: list[Hashable] = []
        if post.text is not None:
            keys.append(("text", plain_text(post.text)))
        for number, image in enumerate(post.images):
            source: Hashable = image if not isinstance(image, Image.Image) else (index, number)
            if source not in digests:
                try:
                    digests[source] = image_digest(image)
                except ImageError:
                    digests[source] = repr(source).encode()  # reported when images are opened
            keys.append(("image", digests[source]))
        for key in keys:
            parent[root(index)] = root(first.setdefault(key, index))
    return [root(index) for index in range(len(posts))]


def validation_fraction(validation: Any) -> float | None:
    """Return ``validation`` if it is a fraction of the posts; None if it is no number, but posts.

    Raises:
        SettingsError: it is not between 0 and 1.
    """
    if isinstance(validation, bool) or not isinstance(validation, int | float | np.number):
        return None
    if not 0 < validation < 1:
        raise SettingsError(
            f"{setting('validation', validation)}: a fraction lies between 0 and 1", setting="validation"
        )
    return float(validation)


def split_posts(posts: Posts, fraction: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Split posts into a training and a validation part.

    Groups of posts that share an image or a text stay together. Groups are assigned in random order, each to the part
    that lacks more of the group's labels, so that both parts keep the label proportions as far as the groups allow. A
    label of two posts or more has one in the validation part, if that is large enough for one of each.

    Args:
        posts: labelled posts.
        fraction: of the posts, for validation; between 0 and 1.
        seed: decides the order.

    Returns:
        The indices of the training part and of the validation part, each ascending.

    Raises:
        SettingsError: ``fraction`` is not between 0 and 1.
        PostsError: the posts cannot be split so that every label remains in the training part.
    """
    validation_fraction(fraction)
    groups: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(identity_groups(posts)):
        groups[group].append(index)
    order = [groups[group] for group in sorted(groups)]
    random.Random(int(seed)).shuffle(order)
    order.sort(key=len, reverse=True)  # large groups first, while there is still room to balance them

    labels = [post.label for post in posts]
    training = Counter(labels)
    one_of_each = sum(count > 1 for count in training.values()) <= len(posts) * fraction
    wanted = {label: max(count * fraction, float(one_of_each and count > 1)) for label, count in training.items()}
    held: list[int] = []
    validation: Counter[str | None] = Counter()
    for members in order:
        counts = Counter(labels[index] for index in members)
        # Held out if that brings the label counts of the validation part closer to the wanted ones.
        gain = sum(
            abs(wanted[label] - validation[label]) - abs(wanted[label] - validation[label] - count)
            for label, count in counts.items()
        )
        if gain > 0 and all(training[label] > count for label, count in counts.items()):
            held += members
            validation.update(counts)
            training.subtract(counts)
    if not held:
        held = _smallest_possible(order, labels)
    if not held:
        raise PostsError(
            f"{posts.name}: no validation part can be held out, because posts that share a picture or a "
            "text must stay together and every label must remain in training",
            "add posts, or name validation posts yourself",
        )
    chosen = set(held)
    return [i for i in range(len(posts)) if i not in chosen], sorted(chosen)


def _smallest_possible(order: Sequence[list[int]], labels: Sequence[str | None]) -> list[int]:
    """Return the smallest group that can be held out, for a fraction of less than one post a label."""
    total = Counter(labels)
    for group in reversed(order):
        counts = Counter(labels[index] for index in group)
        if all(total[label] > count for label, count in counts.items()):
            return list(group)
    return []
