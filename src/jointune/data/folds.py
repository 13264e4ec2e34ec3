"""Divide posts into folds for testing, and draw training posts of a label budget."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jointune.data.divide import VALIDATION
from jointune.data.label_checks import split_problems
from jointune.data.labelling import ONE_LABEL, Labelling
from jointune.data.post import SPLITS, Posts
from jointune.data.problems import Problem, raise_problems
from jointune.data.split import by_time, check_groups, check_learned, split_posts
from jointune.errors import PostsError, SettingsError, setting


@dataclass(frozen=True)
class Fold:
    """One division of the posts, as indices of posts, ascending.

    Attributes:
        number: index of the fold.
        train: posts to learn from.
        validation: posts for early stopping and selection.
        test: posts to test on, once.
        shared: number of test posts that share an image or a text with a post of the other two parts. Only the user's
            own split can make it more than zero.
    """

    number: int
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    shared: int = 0


def make_folds(
    posts: Posts, count: int, groups: Sequence[int], seed: int = 0, asked: Labelling = ONE_LABEL
) -> list[Fold]:
    """Make stratified folds that keep posts with the same image, text or group together.

    If the posts have times, the folds are chained forward instead: the posts are cut in order of time into one part
    more than there are folds, and each fold tests on a part and learns from all parts before it.

    Args:
        posts: labelled posts.
        count: number of folds; every post is tested once, or, if they have times, all but the earliest.
        groups: the result of ``identity_groups`` for these posts.
        seed: of the division, and of the validation part held out of each training part.
        asked: what is asked of the posts, by whose strata they are divided.

    Raises:
        SettingsError: fewer than two folds.
        PostsError: a label has too few posts for every fold to learn it and be tested on it, or no early ones.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if count < 2:
        raise SettingsError(
            f"{setting('folds', count)}: at least two are needed", "raise it, or name a split column", setting="folds"
        )
    kinds = asked.kinds(posts)
    counts = asked.counts(posts) or Counter(kinds)
    rarest, number = min(counts.items(), key=lambda entry: entry[1])
    if number < count:
        raise PostsError(
            f"{posts.name}: only {number} posts are labelled {rarest!r}, too few for {count} folds",
            "use fewer folds, add posts, or merge the label into another",
        )
    if (distinct := len(set(groups))) < count:
        raise PostsError(
            f"{posts.name}: posts that share a picture or a text stay together, which leaves {distinct} groups, too "
            f"few for {count} folds",
            "use fewer folds, or add other posts",
        )
    if any(post.time is not None for post in posts):
        return _chained(posts, count, by_time(posts, groups, seed), seed, asked)
    labels = np.array(kinds, dtype=object).astype(str)
    divided = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(np.zeros(len(posts)), labels, groups)
    return [
        Fold(number, *_hold_out(posts, rest.tolist(), seed, asked), tuple(test.tolist()))
        for number, (rest, test) in enumerate(divided)
    ]


def _chained(posts: Posts, count: int, order: Sequence[list[int]], seed: int, asked: Labelling) -> list[Fold]:
    """Chain folds forward over groups in order of time."""
    part, done = np.zeros(len(posts), dtype=int), 0
    for members in order:
        part[members] = (done + len(members) / 2) * (count + 1) // len(posts)
        done += len(members)
    if len(set(part)) <= count:
        raise PostsError(
            f"{posts.name}: groups are too large for {count} folds in order of time", "use fewer folds, or no groups"
        )
    folds = []
    for number in range(count):
        test = np.flatnonzero(part == number + 1).tolist()
        train, validation = _hold_out(posts, np.flatnonzero(part <= number).tolist(), seed, asked)
        check_learned(posts, train, test, asked)
        folds.append(Fold(number, train, validation, tuple(test)))
    return folds


def ways_of_division(posts: Posts) -> str:
    """Describe how ``make_folds`` divides these posts."""
    timed, grouped = (any(getattr(post, name) is not None for post in posts) for name in ("time", "group"))
    kind = "folds in order of time, each tested on what follows its training posts" if timed else "stratified folds"
    return f"{kind}, identical pictures and texts together" + (", and groups" if grouped else "")


def fold_of_split(posts: Posts, groups: Sequence[int], seed: int = 0, asked: Labelling = ONE_LABEL) -> Fold:
    """Make the one fold that the posts' own split defines; without validation posts, hold some of training out.

    Raises:
        PostsError: a part is unknown, no post is marked train or test, or a validation post has a label that no
            training post has.
    """
    raise_problems(list(split_problems(posts)), posts.name)
    check_groups(map(posts.in_split, SPLITS))
    parts: dict[str | None, list[int]] = defaultdict(list)
    for index, post in enumerate(posts):
        parts[post.split].append(index)
    for part in ("train", "test"):
        if not parts[part]:
            raise PostsError(
                f"{posts.name}: no post is marked {part} in the split column, and a comparison needs both train and "
                "test",
                "mark some, or use folds instead",
            )
    train, validation = tuple(parts["train"]), tuple(parts["validation"])
    if not validation:
        train, validation = _hold_out(posts, train, seed, asked)
    labels = asked.counts(posts.take(train))
    remedy = "mark some such posts train, or relabel this one"
    raise_problems(
        [
            Problem(post.where, "label", f"no post to learn from is labelled {label!r}", remedy)
            for post in posts.take(validation)
            for label in asked.parts(str(post.label))
            if label not in labels
        ],
        posts.name,
    )
    seen = {groups[index] for index in (*train, *validation)}
    return Fold(0, train, validation, tuple(parts["test"]), sum(groups[index] in seen for index in parts["test"]))


def _hold_out(
    posts: Posts, rest: Sequence[int], seed: int, asked: Labelling
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    train, validation = split_posts(posts.take(rest), VALIDATION, seed, asked)
    return tuple(rest[index] for index in train), tuple(rest[index] for index in validation)


def draw(
    posts: Posts, train: Sequence[int], budget: int | None, seed: int, asked: Labelling = ONE_LABEL
) -> tuple[int, ...]:
    """Draw the training posts of a budget; a larger budget of the same seed includes those of a smaller one.

    Args:
        posts: all posts.
        train: indices of the posts to draw from.
        budget: posts per label; a label that has fewer gives all it has. None for all posts.
        seed: of the draw.
        asked: what is asked of the posts; of several labels of a post, the rarest counts.
    """
    if budget is None:
        return tuple(train)
    kinds = asked.kinds(posts)
    by_label: dict[str, list[int]] = defaultdict(list)
    for index in train:
        by_label[kinds[index]].append(index)
    drawn: list[int] = []
    for number, label in enumerate(sorted(by_label, key=str)):
        order = np.random.default_rng([seed, number]).permutation(len(by_label[label]))
        drawn += [by_label[label][index] for index in order[:budget]]
    return tuple(sorted(drawn))
