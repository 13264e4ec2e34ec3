"""Find every post that cannot be used, before training or scoring."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from jointune.data.image_file import ImageError, image_digest
from jointune.data.post import ImageSource, Post, Posts
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.modalities.image.decode import decode_posts
from jointune.utils.progress import Bar, QuietBar


def check_posts(
    posts: Iterable[Post],
    policy: OnBadImage = "error",
    usable: list[Post] | None = None,
    learning: bool = False,
    fields: Sequence[str] = (),
    frames: int = 1,
) -> Iterator[Problem]:
    """Read every row, open every image, and yield each problem as soon as it is known.

    Args:
        posts: the posts; streamed, their images are not kept.
        policy: images that it tolerates are no problem.
        usable: a list to extend by the posts that training would use, or would if their images were repaired. Each has
            the digests of its images in their place, which also show which posts share one.
        learning: whether the posts are training posts: a row that is of no use even without its image is then a
            problem, whatever the policy.
        fields: columns that posts in ``usable`` keep.
        frames: of moving images that are opened.
    """
    for post, problem in _opened(posts, frames):
        stopped = problem is not None and (
            stops(problem, not post.empty, policy) or (learning and not problem.about_image)
        )
        if problem and stopped:
            yield problem
        if usable is not None and (problem is None or (problem.about_image and (stopped or policy == "missing"))):
            kept = {name: post.fields.get(name) for name in fields}
            usable.append(replace(post, image=_identities(post), problem=None, fields=kept))


def usable(
    posts: Posts,
    policy: OnBadImage,
    frames: int = 1,
    bar: Bar = QuietBar(),  # noqa: B008
) -> tuple[Posts, list[Problem]]:
    """Return the posts that ``policy`` lets through, without their bad images, and the tolerated problems.

    Raises:
        PostsError: a post cannot be used.
    """
    through: list[Post] = []
    tolerated: list[Problem] = []
    fatal: list[Problem] = []
    bar.start(len(posts))
    for post, problem in _opened(posts, frames):
        bar.advance()
        if problem is None:
            through.append(post)
        elif stops(problem, not post.empty, policy):
            fatal.append(problem)
        else:
            tolerated.append(problem)
            if policy == "missing":
                through.append(replace(post, problem=None))
    raise_problems(fatal, posts.name)
    return Posts(through, posts.name), tolerated


def _opened(posts: Iterable[Post], frames: int) -> Iterator[tuple[Post, Problem | None]]:
    return ((opened.post, opened.problem) for opened in decode_posts(posts, lambda _: np.empty(0), frames=frames))


def _identities(post: Post) -> list[ImageSource]:
    found: list[ImageSource] = []
    for image in post.images:
        with suppress(ImageError):  # changed since it was opened
            found.append(image_digest(image))
    return found
