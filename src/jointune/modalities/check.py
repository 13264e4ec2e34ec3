"""Everything that would stop training or scoring, found beforehand and all at once."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError, image_digest
from jointune.data.post import ImageSource, Post, Posts
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.modalities.image.decode import decode_posts
from jointune.utils.progress import Bar, QuietBar


def check_posts(
    posts: Iterable[Post], policy: OnBadImage = "error", usable: list[Post] | None = None, learning: bool = False
) -> Iterator[Problem]:
    """Read every row and open every picture.

    Args:
        posts: the posts; streamed, their pictures are not kept.
        policy: pictures that it lets pass are no problem.
        usable: takes the posts that training would go on with, or would if their pictures were mended. In place of its
            picture each has the picture's digest, which tells as well which posts share one.
        learning: whether the rows of a table are to be learned from: one that is of no use even without its picture is
            then a problem, whatever the policy.

    Yields:
        Each problem, as soon as it is known.
    """
    for post, problem in opened(posts):
        stopped = problem is not None and (
            stops(problem, post.text is not None, policy) or (learning and not problem.about_image)
        )
        if problem and stopped:
            yield problem
        if usable is not None and (problem is None or (problem.about_image and (stopped or policy == "missing"))):
            usable.append(replace(post, image=None if problem else _identity(post.image), problem=None, fields={}))


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


def _identity(picture: ImageSource | None) -> bytes | None:
    try:
        return None if picture is None else image_digest(picture)
    except ImageError:  # changed since it was opened
        return None


def _nothing(_: Image.Image) -> np.ndarray:
    """Decoding is the check; nothing of the picture is kept."""
    return np.empty(0)
