"""Everything that would stop training or scoring, found beforehand and all at once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from jointune.posts.decode import decode_posts
from jointune.posts.post import Post, Posts
from jointune.posts.problems import OnBadImage, Problem, raise_problems, stops
from jointune.progress import Bar, QuietBar

SPLITS = ("train", "validation", "test")


def check_posts(
    posts: Iterable[Post], labelled: bool = True, split: bool = False, policy: OnBadImage = "error"
) -> Iterator[Problem]:
    """Open every picture and look at every label.

    Args:
        posts: the posts; streamed, their pictures are not kept.
        labelled: whether each post needs a label, as for training and evaluation.
        split: whether each post needs a split.
        policy: pictures that it lets pass are no problem.

    Yields:
        Each problem, as soon as it is known.
    """
    seen: list[Post] = []
    for post, problem in opened(posts):
        if problem and stops(problem, post.text is not None, policy):
            yield problem
        if labelled and (problem is None or problem.about_image):
            seen.append(Post(label=post.label, split=post.split, where=post.where))
    if labelled:
        yield from label_problems(seen, split)


def opened(posts: Iterable[Post]) -> Iterator[tuple[Post, Problem | None]]:
    """Each post in order, with what is wrong with it or its picture, if anything; the pictures are not kept."""
    return ((post, problem) for post, _, problem in decode_posts(posts, _nothing))


def usable(posts: Posts, policy: OnBadImage, bar: Bar = QuietBar()) -> tuple[Posts, list[Problem]]:  # noqa: B008
    """The posts without those that ``policy`` skips, others without their bad picture; and what is wrong with those.

    Raises:
        PostsError: a post cannot be used.
    """
    kept: list[Post] = []
    passed: list[Problem] = []
    fatal: list[Problem] = []
    bar.start(len(posts))
    for post, problem in opened(posts):
        bar.advance()
        if problem is None:
            kept.append(post)
        elif stops(problem, post.text is not None, policy):
            fatal.append(problem)
        else:
            passed.append(problem)
            if policy == "missing":
                kept.append(replace(post, image=None, problem=None))
    raise_problems(fatal, posts.name)
    return Posts(kept, posts.name), passed


def _nothing(_: Image.Image) -> np.ndarray:
    """Decoding is the check; nothing of the picture is kept."""
    return np.empty(0)


def split_problem(post: Post) -> Problem | None:
    """What is wrong with the split of a post that needs one."""
    if post.split in SPLITS:
        return None
    said = "the split is empty" if post.split is None else f"the split is {post.split!r}"
    return Problem(post.where, "split", said, f"use one of {', '.join(SPLITS)}")


def label_problems(posts: Iterable[Post], split: bool = False) -> Iterator[Problem]:
    """What is wrong with labels and splits: missing, unknown, only one, or too few posts for one.

    Args:
        posts: the posts.
        split: whether each post needs a split.

    Yields:
        Each problem.
    """
    by_label: dict[str, list[Post]] = defaultdict(list)
    splits: Counter[str | None] = Counter()
    first: Post | None = None
    for post in posts:
        first = first or post
        splits[post.split] += 1
        if split and (problem := split_problem(post)):
            yield problem
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
            first.where,
            "split",
            "no post is marked validation",
            "mark some, or hold out a fraction without splits",
        )
    if len(by_label) == 1:
        (label,) = by_label
        yield Problem(first.where, "label", f"every post is labelled {label!r}", "add posts with another label")
    for label, group in by_label.items():
        learned = [post for post in group if not split or post.split == "train"]
        if split and not learned:
            yield Problem(
                group[0].where, "label", f"no training post is labelled {label!r}", "add some or remove these posts"
            )
        elif len(group) == 1:
            yield Problem(
                group[0].where,
                "label",
                f"the only post labelled {label!r}",
                "two are needed, one to learn from and one to check on: add posts or merge the label into another",
            )


def class_numbers(posts: Posts, labels: Sequence[str]) -> np.ndarray:
    """The place of each post's label among ``labels``, int64 [N].

    Raises:
        PostsError: a post has no label, or another one.
    """
    raise_problems(
        [
            Problem(post.where, "label", "the post has no label", "label it or remove the row")
            if post.label is None
            else Problem(
                post.where,
                "label",
                f"{post.label!r} is not a label of the training posts ({', '.join(labels)})",
                "correct or remove it",
            )
            for post in posts
            if post.label not in labels
        ],
        posts.name,
    )
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers[str(post.label)] for post in posts], dtype=np.int64)
