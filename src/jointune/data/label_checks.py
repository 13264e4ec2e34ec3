"""Check labels and splits, before any image is opened."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np

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


def label_problems(posts: Iterable[Post], split: bool = False, undivided: bool = True) -> Iterator[Problem]:
    """Yield problems with labels and splits: missing, unknown, only one, or too few posts for one.

    With ``split``, each post needs a split. A label needs two posts if validation posts are still to be held out of
    them (``undivided``).
    """
    posts = list(posts)
    by_label: dict[str, list[Post]] = defaultdict(list)
    for post in posts:
        if split:
            yield from split_problems([post])
        if post.label is None:
            yield _unlabelled(post)
        else:
            by_label[post.label].append(post)
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
        (label,) = by_label
        yield Problem(first, "label", f"every post is labelled {label!r}", "add posts with another label")
    for label, group in by_label.items():
        if split and not any(post.split == "train" for post in group):
            reason, remedy = f"no training post is labelled {label!r}", "add some or remove these posts"
        elif len(group) == 1 and undivided and not split:
            reason = f"the only post labelled {label!r}"
            remedy = "two are needed, one to learn from and one to check on: add posts or merge the label into another"
        else:
            continue
        yield Problem(group[0].where, "label", reason, remedy)


def training_problems(
    read: Sequence[Posts], usable: Sequence[Posts], split: bool, fraction: float, seed: int = 0
) -> Iterator[Problem | PostsError]:
    """Yield the reasons why training on these posts would be refused, as far as labels and their division show.

    Labels are checked before images are opened, and again without the posts that are left out for their image.

    Args:
        read: the posts, and the validation posts if they are separate.
        usable: those of them whose images can be used.
        split: whether the posts are divided by their splits.
        fraction: otherwise, if there are no separate validation posts, the share of the posts that is held out.
        seed: of that division.
    """
    for posts, *held in (read, usable):
        last = posts is usable[0]
        problems = [] if last and split else list(label_problems(posts, split, undivided=not held))
        yield from problems
        if problems:
            return
        try:
            if split:
                check_parts(*map(posts.in_split, SPLITS))
            else:
                check_parts(posts, held[0] if held else None)
            if last and not held and not split:
                split_posts(posts, fraction, seed)
        except PostsError as reason:
            yield reason
            return


def check_parts(learn: Posts, held: Posts | None, tested: Posts = Posts([])) -> None:  # noqa: B008
    """Check that a classifier can be trained, validated and tested on these posts, as far as labels show.

    Raises:
        PostsError: it cannot; without ``held``, some of ``learn`` have to be held out.
    """
    if not learn:
        raise PostsError(f"{learn.name}: no posts to learn from")
    if held is not None and not held:
        raise PostsError(f"{held.name}: no validation posts")
    raise_problems(list(label_problems(learn, undivided=held is None)), learn.name)
    check_groups((learn, held or Posts([]), tested))
    for part in (held or Posts([]), tested):
        class_numbers(part, learn.label_names)


def class_numbers(posts: Posts, labels: Sequence[str]) -> np.ndarray:
    """Return the index of each post's label in ``labels``, int64 [N].

    Raises:
        PostsError: a post has no label, or another one.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    names = listed(labels, len(labels))

    def problem(post: Post) -> Problem:
        reason = f"{post.label!r} is not a label of the training posts ({names})"
        return _unlabelled(post) if post.label is None else Problem(post.where, "label", reason, "correct or remove it")

    raise_problems([problem(post) for post in posts if post.label not in numbers], posts.name)
    return np.array([numbers[str(post.label)] for post in posts], dtype=np.int64)


def _unlabelled(post: Post) -> Problem:
    return Problem(post.where, "label", "the post has no label", "label it or remove the row")


def split_notes(posts: Posts) -> list[str]:
    """Return the size and label shares of each split, and notes if labels or content of two splits may mislead."""
    parts = {split: Posts(part) for split in SPLITS if (part := posts.in_split(split))}
    shares = {
        split: Counter({label: count / len(part) for label, count in Counter(post.label for post in part).items()})
        for split, part in parts.items()
    }
    names = posts.label_names
    notes = [
        f"{split}: {counted(len(part), 'post')}"
        f", {listed((f'{label} {shares[split][label]:.0%}' for label in names), len(names))}"
        for split, part in parts.items()
    ]
    notes += [
        f"note: the labels of {split} are not distributed as those of train: {label} is {shares[split][label]:.0%} of "
        f"{split} and {shares['train'][label]:.0%} of train, more of a difference than chance makes"
        for split in list(parts)[1:]
        if "train" in parts and _differ(parts["train"], parts[split])
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


def _differ(first: Posts, second: Posts) -> bool:
    """Return whether label shares differ by five points or more, and significantly so (p < 0.001).

    Pearson's chi-square test, with the normal approximation of Wilson and Hilferty (1931).
    """
    by_part = [Counter(post.label for post in part) for part in (first, second)]
    labels = list(by_part[0] | by_part[1])
    counts = np.array([[part[label] for label in labels] for part in by_part])
    shares = counts / counts.sum(1, keepdims=True)
    freedom = len(labels) - 1
    if not freedom or np.abs(shares[0] - shares[1]).max() < 0.05:
        return False
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    scaled = (((counts - expected) ** 2 / expected).sum() / freedom) ** (1 / 3)
    return float((scaled - 1 + 2 / (9 * freedom)) / np.sqrt(2 / (9 * freedom))) > 3.09
