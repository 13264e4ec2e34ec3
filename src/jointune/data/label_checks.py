"""Check labels and splits, before any image is opened."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from jointune.data.labelling import ONE_LABEL, Labelling
from jointune.data.labels import MOST_LABELS, UNSURE
from jointune.data.post import SPLITS, Post, Posts
from jointune.data.problems import Problem, raise_problems
from jointune.data.split import check_groups, identity_groups, split_posts
from jointune.errors import PostsError
from jointune.utils.wording import counted, listed


def split_problems(posts: Iterable[Post]) -> Iterator[Problem]:
    """Yield a problem for each post without a valid split."""
    for post in posts:
        if post.split not in SPLITS:
            reason = "the split is empty" if post.split is None else f"the split is {post.split!r}"
            yield Problem(post.where, "split", reason, f"use one of {', '.join(SPLITS)}")


def label_problems(
    posts: Iterable[Post], split: bool = False, undivided: bool = True, asked: Labelling = ONE_LABEL
) -> Iterator[Problem]:
    """Yield problems with labels and splits: missing, unknown, only one, or too few posts for one.

    With ``split``, each post needs a split. A label needs two posts if validation posts are still to be held out of
    them (``undivided``).

    Raises:
        PostsError: the labels are of another kind than is ``asked``.
        SettingsError: a setting is needed to read them.
    """
    posts = list(posts)
    asked.check(posts)
    by_label: dict[str, list[Post]] = defaultdict(list)
    for post in posts:
        if split:
            yield from split_problems([post])
        if found := _label_problem(post, asked):
            yield found
        else:
            for label in asked.parts(str(post.label)):
                by_label[label].append(post)
    if not posts:
        return
    first, splits = posts[0].where, {post.split for post in posts}
    if split and "train" not in splits:
        yield Problem(first, "split", "no post is marked train", "mark the posts to learn from as train")
    if split and "validation" not in splits:
        remedy = "mark some, or hold out a fraction without splits"
        yield Problem(first, "split", "no post is marked validation", remedy)
    if UNSURE in by_label:
        where, remedy = by_label[UNSURE][0].where, "rename the label, such as to 'undecided'"
        yield Problem(where, "label", f"{UNSURE!r} is the answer of a model that abstains", remedy)
    if len(by_label) > MOST_LABELS:
        reason = f"there are {len(by_label):,} different labels, more than {MOST_LABELS:,}"
        yield Problem(first, "label", reason, "name the column of the labels, or merge labels")
        return
    if len(by_label) == 1:
        ((label, group),) = by_label.items()
        reason = f"every post is labelled {label!r}" if len(group) == len(posts) else f"the only label is {label!r}"
        yield Problem(first, "label", reason, "add posts with another label")
    for label, group in by_label.items():
        if split and not any(post.split == "train" for post in group):
            reason, remedy = f"no training post is labelled {label!r}", "add some or remove these posts"
        elif asked.each_needed and len(group) == 1 and undivided and not split:
            reason = f"the only post labelled {label!r}"
            remedy = "two are needed, one to learn from and one to check on: add posts or merge the label into another"
        else:
            continue
        yield Problem(group[0].where, "label", reason, remedy)


def training_problems(
    read: Sequence[Posts],
    usable: Sequence[Posts],
    split: bool,
    fraction: float,
    seed: int = 0,
    asked: Labelling = ONE_LABEL,
) -> Iterator[Problem | PostsError]:
    """Yield the reasons why training on these posts would be refused, as far as labels and their division show.

    Labels are checked before images are opened, and again without the posts that are left out for their image.

    Args:
        read: the posts, and the validation posts if they are separate.
        usable: those of them whose images can be used.
        split: whether the posts are divided by their splits.
        fraction: otherwise, if there are no separate validation posts, the share of the posts that is held out.
        seed: of that division.
        asked: what is asked of the posts.
    """
    for posts, *held in (read, usable):
        last = posts is usable[0]
        problems = [] if last and split else list(label_problems(posts, split, not held, asked))
        yield from problems
        if problems:
            return
        try:
            if split:
                learn, checked, tested = map(posts.in_split, SPLITS)
                check_parts(learn, checked, tested, asked)
            else:
                check_parts(posts, held[0] if held else None, asked=asked)
            if last and not held and not split:
                split_posts(posts, fraction, seed, asked)
        except PostsError as reason:
            yield reason
            return


def check_parts(
    learn: Posts,
    held: Posts | None,
    tested: Posts = Posts([]),  # noqa: B008
    asked: Labelling = ONE_LABEL,
) -> None:
    """Check that a classifier can be trained, validated and tested on these posts, as far as labels show.

    Raises:
        PostsError: it cannot; without ``held``, some of ``learn`` have to be held out.
    """
    if not learn:
        raise PostsError(f"{learn.name}: no posts to learn from")
    if held is not None and not held:
        raise PostsError(f"{held.name}: no validation posts")
    raise_problems(list(label_problems(learn, undivided=held is None, asked=asked)), learn.name)
    check_groups((learn, held or Posts([]), tested))
    names = asked.names(learn)
    for part in (held or Posts([]), tested):
        asked.check(part)
        check_labels(part, names, asked)


def class_numbers(posts: Posts, labels: Sequence[str]) -> np.ndarray:
    """Return the index of each post's label in ``labels``, int64 [N].

    Raises:
        PostsError: a post has no label, or another one.
    """
    check_labels(posts, labels)
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers[str(post.label)] for post in posts], dtype=np.int64)


def check_labels(posts: Posts, labels: Sequence[str], asked: Labelling = ONE_LABEL) -> None:
    """Check that each post has a label, and none but these.

    Raises:
        PostsError: a post has no label, or another one.
    """
    known, names = set(labels), listed(labels, len(labels))

    def problem(post: Post) -> Problem | None:
        if found := _label_problem(post, asked):
            return found
        other = next((label for label in asked.parts(str(post.label)) if label not in known), None)
        reason = f"{other!r} is not a label of the training posts ({names})"
        return None if other is None else Problem(post.where, "label", reason, "correct or remove it")

    raise_problems([found for post in posts if (found := problem(post))], posts.name)


def _label_problem(post: Post, asked: Labelling) -> Problem | None:
    if post.label is None:
        return Problem(post.where, "label", "the post has no label", "label it or remove the row")
    fault = asked.fault(post.label)
    return Problem(post.where, "label", *fault) if fault else None


def split_notes(posts: Posts, asked: Labelling = ONE_LABEL) -> list[str]:
    """Return the size and label shares of each split, and notes if labels or content of two splits may mislead."""
    parts = {split: Posts(part) for split in SPLITS if (part := posts.in_split(split))}
    shares = {
        split: Counter({label: count / len(part) for label, count in asked.counts(part).items()})
        for split, part in parts.items()
    }
    names = asked.names(posts)
    notes = [
        ", ".join(
            [
                f"{split}: {counted(len(part), 'post')}",
                *([listed((f"{label} {shares[split][label]:.0%}" for label in names), len(names))] if names else []),
            ]
        )
        for split, part in parts.items()
    ]
    notes += [
        f"note: the labels of {split} are not distributed as those of train: {label} is {shares[split][label]:.0%} of "
        f"{split} and {shares['train'][label]:.0%} of train, more of a difference than chance makes"
        for split in list(parts)[1:]
        if "train" in parts and _differ(*([asked.counts(parts[part]) for part in ("train", split)]))
        for label in [max(names, key=lambda name: abs(shares[split][name] - shares["train"][name]))]
    ]
    groups = np.array(identity_groups(posts))
    splits = np.array([str(post.split) for post in posts])
    for first, second in combinations(parts, 2):
        shared = int(np.isin(groups[splits == second], groups[splits == first]).sum())
        if shared:
            notes.append(
                f"note: {shared:,} of the posts of {second} share a picture or a text with posts of {first}, so that "
                f"scores on {second} may be too good"
            )
    return notes


def _differ(*by_part: Mapping[str, int]) -> bool:
    """Return whether label shares differ by five points or more, and significantly so (p < 0.001).

    Pearson's chi-square test, with the normal approximation of Wilson and Hilferty (1931).
    """
    labels = list(dict.fromkeys([*by_part[0], *by_part[1]]))
    counts = np.array([[part.get(label, 0) for label in labels] for part in by_part])
    shares = counts / counts.sum(1, keepdims=True)
    freedom = len(labels) - 1
    if freedom < 1 or np.abs(shares[0] - shares[1]).max() < 0.05:
        return False
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    scaled = (((counts - expected) ** 2 / expected).sum() / freedom) ** (1 / 3)
    return float((scaled - 1 + 2 / (9 * freedom)) / np.sqrt(2 / (9 * freedom))) > 3.09
