"""What is wrong with labels and splits, found before any image is opened."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np

from jointune.data.labels import MOST_LABELS, UNSURE
from jointune.data.post import SPLITS, Post, Posts
from jointune.data.problems import Problem, raise_problems
from jointune.data.split import identity_groups, split_posts
from jointune.errors import PostsError
from jointune.utils.wording import listed


def split_problems(posts: Iterable[Post]) -> Iterator[Problem]:
    """What is wrong with the splits of posts that need one."""
    for post in posts:
        if post.split not in SPLITS:
            said = "the split is empty" if post.split is None else f"the split is {post.split!r}"
            yield Problem(post.where, "split", said, f"use one of {', '.join(SPLITS)}")


def label_problems(posts: Iterable[Post], split: bool = False, undivided: bool = True) -> Iterator[Problem]:
    """What is wrong with labels and splits: missing, unknown, only one, or too few posts for one.

    Args:
        posts: the posts.
        split: whether each post needs a split.
        undivided: whether validation posts are still to be taken from these, so that a label needs two.

    Yields:
        Each problem.
    """
    by_label: dict[str, list[Post]] = defaultdict(list)
    splits: Counter[str | None] = Counter()
    first: Post | None = None
    for post in posts:
        first = first or post
        splits[post.split] += 1
        if split:
            yield from split_problems([post])
        if post.label is None:
            yield Problem(post.where, "label", "the post has no label", "label it or remove the row")
        else:
            by_label[post.label].append(post)
    if first is None:
        return
    if split and not splits["train"]:
        yield Problem(first.where, "split", "no post is marked train", "mark the posts to learn from as train")
    if split and not splits["validation"]:
        yield Problem(
            first.where, "split", "no post is marked validation", "mark some, or hold out a fraction without splits"
        )
    if UNSURE in by_label:
        where, remedy = by_label[UNSURE][0].where, "rename the label, such as to 'undecided'"
        yield Problem(where, "label", f"{UNSURE!r} is the answer of a model that abstains", remedy)
    if len(by_label) > MOST_LABELS:
        said = f"there are {len(by_label):,} different labels, more than {MOST_LABELS:,}"
        yield Problem(first.where, "label", said, "name the column of the labels, or merge labels")
        return
    if len(by_label) == 1:
        (label,) = by_label
        yield Problem(first.where, "label", f"every post is labelled {label!r}", "add posts with another label")
    for label, group in by_label.items():
        learned = [post for post in group if not split or post.split == "train"]
        if split and not learned:
            yield Problem(
                group[0].where, "label", f"no training post is labelled {label!r}", "add some or remove these posts"
            )
        elif len(group) == 1 and undivided and not split:
            yield Problem(
                group[0].where,
                "label",
                f"the only post labelled {label!r}",
                "two are needed, one to learn from and one to check on: add posts or merge the label into another",
            )


def training_problems(
    read: Sequence[Posts], usable: Sequence[Posts], split: bool, fraction: float, seed: int = 0
) -> Iterator[Problem | PostsError]:
    """Why a training on these posts would be refused, as far as labels and their division tell.

    Labels are judged before pictures are opened, and again without the posts that are left out for their picture.

    Args:
        read: the posts, and the validation posts where these are apart.
        usable: those of them that are left once pictures were opened.
        split: whether the posts are divided by their splits.
        fraction: if not, and no validation posts are apart, the share of the posts that is held out.
        seed: of that division.

    Yields:
        Each problem, with the words in which training refuses.
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
    """See that a classifier can be trained on these posts, as far as labels tell.

    Args:
        learn: posts to learn from.
        held: validation posts; None where some of ``learn`` will be.
        tested: posts that are scored after training.

    Raises:
        PostsError: it cannot.
    """
    if not learn:
        raise PostsError(f"{learn.name}: no posts to learn from")
    if held is not None and not held:
        raise PostsError(f"{held.name}: no validation posts")
    raise_problems(list(label_problems(learn, undivided=held is None)), learn.name)
    for part in (held or Posts([]), tested):
        class_numbers(part, learn.label_names)


def class_numbers(posts: Posts, labels: Sequence[str]) -> np.ndarray:
    """The place of each post's label among ``labels``, int64 [N].

    Raises:
        PostsError: a post has no label, or another one.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    known = listed(labels, len(labels))
    raise_problems(
        [
            Problem(post.where, "label", "the post has no label", "label it or remove the row")
            if post.label is None
            else Problem(
                post.where,
                "label",
                f"{post.label!r} is not a label of the training posts ({known})",
                "correct or remove it",
            )
            for post in posts
            if post.label not in numbers
        ],
        posts.name,
    )
    return np.array([numbers[str(post.label)] for post in posts], dtype=np.int64)


def split_notes(posts: Posts) -> list[str]:
    """What to know of posts that are divided by their splits: their numbers, and where the division may mislead.

    Args:
        posts: those that can be used, with a label and a split each.
    """
    parts = {split: Posts(part) for split in SPLITS if (part := posts.in_split(split))}
    shares = {
        split: Counter({label: count / len(part) for label, count in Counter(post.label for post in part).items()})
        for split, part in parts.items()
    }
    names = posts.label_names
    notes = [
        f"{split}: {len(part):,} post{'s' * (len(part) != 1)}"
        + f", {listed((f'{label} {shares[split][label]:.0%}' for label in names), len(names))}"
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
    """Whether shares of labels differ by five points or more, and by more than chance would let one in 1,000 differ.

    Pearson's chi-square, whose distribution is made normal as by Wilson and Hilferty (1931).
    """
    found = [Counter(post.label for post in part) for part in (first, second)]
    labels = list(found[0] | found[1])
    counts = np.array([[of_part[label] for label in labels] for of_part in found])
    shares = counts / counts.sum(1, keepdims=True)
    freedom = len(labels) - 1
    if not freedom or np.abs(shares[0] - shares[1]).max() < 0.05:
        return False
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    scaled = (((counts - expected) ** 2 / expected).sum() / freedom) ** (1 / 3)
    return float((scaled - 1 + 2 / (9 * freedom)) / np.sqrt(2 / (9 * freedom))) > 3.09
