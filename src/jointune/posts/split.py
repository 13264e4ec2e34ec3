"""A validation part that is stratified by label and shares no picture and no text with the training part."""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from jointune.errors import PostsError, SettingsError, setting
from jointune.posts.pictures import PictureError, picture_bytes
from jointune.posts.post import Posts


def identity_groups(posts: Posts) -> list[int]:
    """One number a post; posts that share a picture's bytes or a text, directly or through others, share it.

    Texts are compared without regard to case and white space.
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
            keys.append(("text", " ".join(post.text.casefold().split())))
        if post.image is not None:
            source = post.image if not hasattr(post.image, "tobytes") else index
            if source not in digests:
                try:
                    digests[source] = hashlib.sha256(picture_bytes(post.image)).digest()
                except PictureError:
                    digests[source] = repr(source).encode()  # reported where pictures are opened
            keys.append(("image", digests[source]))
        for key in keys:
            parent[root(index)] = root(first.setdefault(key, index))
    return [root(index) for index in range(len(posts))]


def check_fraction(fraction: float) -> None:
    """See that a fraction can be that of validation posts.

    Raises:
        SettingsError: it cannot.
    """
    if not 0 < fraction < 1:
        raise SettingsError(f"{setting('validation', fraction)}: a fraction lies between 0 and 1")


def split_posts(posts: Posts, fraction: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Split into a training and a validation part.

    Groups of posts that share a picture or a text stay together. Groups are dealt in random order, each to the part
    that is shorter of the group's labels, so that both parts keep the label proportions as far as the groups allow.

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
    check_fraction(fraction)
    groups: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(identity_groups(posts)):
        groups[group].append(index)
    order = [groups[group] for group in sorted(groups)]
    random.Random(seed).shuffle(order)
    order.sort(key=len, reverse=True)  # large groups first, while there is still room to balance them

    labels = posts.labels
    wanted = {label: count * fraction for label, count in Counter(labels).items()}
    left_to_learn = Counter(labels)
    held: list[int] = []
    taken: Counter[str | None] = Counter()
    for members in order:
        counts = Counter(labels[index] for index in members)
        # Taken when that brings the label counts of the validation part closer to what is wanted.
        gain = sum(
            abs(wanted[label] - taken[label]) - abs(wanted[label] - taken[label] - count)
            for label, count in counts.items()
        )
        if gain > 0 and all(left_to_learn[label] > count for label, count in counts.items()):
            held += members
            taken += counts
            left_to_learn -= counts
    if not held:
        held = _smallest_possible(order, labels)
    if not held:
        raise PostsError(
            f"{posts.name}: no validation part can be held out, because posts that share a picture or a text must stay "
            "together and every label must remain in training; add posts, or name validation posts yourself"
        )
    chosen = set(held)
    return [i for i in range(len(posts)) if i not in chosen], sorted(chosen)


def _smallest_possible(order: Sequence[list[int]], labels: Sequence[str | None]) -> list[int]:
    """One post a label at most, where the fraction asks for less than one."""
    total = Counter(labels)
    for group in reversed(order):
        counts = Counter(labels[index] for index in group)
        if all(total[label] > count for label, count in counts.items()):
            return list(group)
    return []
