"""Hold out validation posts, stratified by label or the latest, that share no image, text or group with training."""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError, image_digest
from jointune.data.labelling import ONE_LABEL, Labelling
from jointune.data.post import Post, Posts
from jointune.data.problems import Problem, raise_problems
from jointune.errors import PostsError, SettingsError, setting
from jointune.utils.wording import counted

_Strata = Sequence[tuple[str | None, ...]]


def plain_text(text: str) -> str:
    """Return a text for comparison: its case and white space do not count."""
    return " ".join(text.casefold().split())


def identity_groups(posts: Posts) -> list[int]:
    """Return a group number a post, equal for posts that share an image, a text or a group, if only through others.

    Images are the same if their files are, texts if only case and white space differ. ``Post.group`` names a group.
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
        if (text := post.whole_text) is not None:
            keys.append(("text", plain_text(text)))
        for number, image in enumerate(post.images):
            source: Hashable = image if not isinstance(image, Image.Image) else (index, number)
            if source not in digests:
                try:
                    digests[source] = image_digest(image)
                except ImageError:
                    digests[source] = repr(source).encode()  # reported when images are opened
            keys.append(("image", digests[source]))
        for column, source in post.files.items():
            with suppress(ImageError):  # reported when it is opened
                keys.append((column, image_digest(source)))
        if post.group is not None:
            keys.append(("group", post.group))
        for key in keys:
            parent[root(index)] = root(first.setdefault(key, index))
    return [root(index) for index in range(len(posts))]


def fraction_of_posts(value: Any, name: str = "validation") -> float | None:
    """Return a value if it is a fraction of the posts; None if it is no number, but posts.

    Args:
        value: of the argument.
        name: of the argument.

    Raises:
        SettingsError: it is not between 0 and 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    if not 0 < value < 1:
        raise SettingsError(f"{setting(name, value)}: a fraction lies between 0 and 1", setting=name)
    return float(value)


def group_notes(posts: Posts) -> list[str]:
    """Return a note if some posts have a group and others none."""
    lacking = sum(post.group is None for post in posts)
    if not lacking or lacking == len(posts):
        return []
    return [f"{posts.name}: {counted(lacking, 'post')} without a group; each counts as a group of its own"]


def check_groups(parts: Iterable[Posts]) -> None:
    """Check that no group has posts in two parts.

    Raises:
        PostsError: one has.
    """
    first: dict[str, tuple[int, Post]] = {}
    problems = []
    for number, part in enumerate(parts):
        for post in part:
            if post.group is None:
                continue
            place, other = first.setdefault(post.group, (number, post))
            if place != number:
                fault = f"{post.group!r} is on two sides: {other.where} has it, too"
                problems.append(Problem(post.where, "group", fault, "move its posts to one side, or name no groups"))
    raise_problems(problems, "groups")


def by_time(posts: Posts, groups: Sequence[int], seed: int = 0) -> list[list[int]]:
    """Return the indices of each group's posts, the earliest group first.

    A group counts at its latest post, so that no post of an earlier group is later than the latest of a later group.
    Groups of the same time are in random order.

    Args:
        posts: each with a time.
        groups: the result of ``identity_groups`` for these posts.
        seed: decides the random order.

    Raises:
        PostsError: a post lacks a time, or only some times are dates, or all are the same.
    """
    kinds: dict[type, Post] = {}
    for post in posts:
        kinds.setdefault(type(post.time), post)
    if len(kinds) > 1:
        names = {type(None): "nothing", float: "a number"}
        (kind, post), (other_kind, other) = list(kinds.items())[:2]
        raise PostsError(
            f"{posts.name}: the time of {post.where} is {names.get(kind, 'a date')}, that of {other.where} is "
            f"{names.get(other_kind, 'a date')}",
            "give each post a date, or each a number",
        )
    if len({post.time for post in posts}) == 1 and len(posts) > 1:
        raise PostsError(f"{posts.name}: all posts have the same time", "divide them without times")
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    order = [members[group] for group in sorted(members)]
    random.Random(int(seed)).shuffle(order)

    times: list[Any] = [post.time for post in posts]
    return sorted(order, key=lambda group: max(times[index] for index in group))


def split_posts(
    posts: Posts, fraction: float, seed: int = 0, asked: Labelling = ONE_LABEL
) -> tuple[list[int], list[int]]:
    """Split posts into a training and a validation part.

    Groups of posts that share an image, a text or a group stay together. If the posts have times, the latest groups are
    held out; see ``by_time``. Otherwise groups are assigned in random order, each to the part that lacks more of the
    group's labels, so that both parts keep the label proportions as far as the groups allow. A label of two posts or
    more has one in the validation part, if that is large enough for one of each.

    Args:
        posts: labelled posts.
        fraction: of the posts, for validation; between 0 and 1.
        seed: decides the order.
        asked: what is asked of the posts, by whose strata they are divided.

    Returns:
        The indices of the training part and of the validation part, each ascending.

    Raises:
        SettingsError: ``fraction`` is not between 0 and 1.
        PostsError: the posts cannot be split so that every label remains in the training part.
    """
    fraction_of_posts(fraction)
    numbers = identity_groups(posts)
    names = {post.group for post in posts}
    if len(names) == 1 and None not in names:
        raise PostsError(f"{posts.name}: all posts are of the group {names.pop()!r}", "name another column of groups")
    if any(post.time is not None for post in posts):
        return _latest(posts, by_time(posts, numbers, seed), fraction, asked)
    groups: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(numbers):
        groups[group].append(index)
    order = [groups[group] for group in sorted(groups)]
    random.Random(int(seed)).shuffle(order)
    order.sort(key=len, reverse=True)  # large groups first, while there is still room to balance them

    strata = asked.strata(posts)
    training = _counts(range(len(posts)), strata)
    one_of_each = sum(count > 1 for count in training.values()) <= len(posts) * fraction
    wanted = {label: max(count * fraction, float(one_of_each and count > 1)) for label, count in training.items()}
    held: list[int] = []
    validation: Counter[str | None] = Counter()
    for members in order:
        counts = _counts(members, strata)
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
        held = _smallest_possible(order, strata)
    if not held:
        raise _indivisible(posts)
    chosen = set(held)
    return [i for i in range(len(posts)) if i not in chosen], sorted(chosen)


def _latest(posts: Posts, order: Sequence[list[int]], fraction: float, asked: Labelling) -> tuple[list[int], list[int]]:
    """Hold out the latest groups, as many as come closest to ``fraction``; one at least.

    Raises:
        PostsError: nothing would be left to learn from, or not every label.
    """
    wanted = fraction * len(posts)
    held: list[int] = []
    for members in reversed(order):
        if held and abs(len(held) + len(members) - wanted) >= abs(len(held) - wanted):
            break
        held += members
    chosen = set(held)
    learned = [index for index in range(len(posts)) if index not in chosen]
    if not learned:
        raise _indivisible(posts)
    check_learned(posts, learned, held, asked)
    return learned, sorted(held)


def check_learned(posts: Posts, learned: Sequence[int], later: Sequence[int], asked: Labelling = ONE_LABEL) -> None:
    """Check that every label of later posts is also that of a post to learn from.

    Raises:
        PostsError: one is not.
    """
    labels = asked.counts(posts.take(learned))
    remedy = "hold out less, use fewer folds, or leave the label out"
    problems = [
        Problem(post.where, "label", f"no earlier post is labelled {label!r}", remedy)
        for post in posts.take(later)
        for label in asked.parts(str(post.label))
        if label not in labels
    ]
    raise_problems(problems, posts.name)


def _indivisible(posts: Posts) -> PostsError:
    grouped = any(post.group is not None for post in posts)
    shared = "a picture, a text or a group" if grouped else "a picture or a text"
    return PostsError(
        f"{posts.name}: no validation part can be held out, because posts that share {shared} must stay together and "
        "every label must remain in training",
        "add posts, or name validation posts yourself",
    )


def _counts(members: Iterable[int], strata: _Strata) -> Counter[str | None]:
    return Counter(one for index in members for one in strata[index])


def _smallest_possible(order: Sequence[list[int]], strata: _Strata) -> list[int]:
    """Return the smallest group that can be held out, for a fraction of less than one post a label."""
    total = _counts(range(len(strata)), strata)
    for group in reversed(order):
        counts = _counts(group, strata)
        if all(total[label] > count for label, count in counts.items()):
            return list(group)
    return []
