"""Pictures of many posts, decoded by several threads, in order, with bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from PIL import Image

from jointune.posts.pictures import PictureError, open_picture
from jointune.posts.post import Post
from jointune.posts.problems import Problem

Prepare = Callable[[Image.Image], np.ndarray]


def decode_posts(
    posts: Iterable[Post], prepare: Prepare, at_least: tuple[int, int] | None = None, workers: int | None = None
) -> Iterator[tuple[Post, np.ndarray | None, Problem | None]]:
    """Decode and prepare each post's picture.

    Args:
        posts: the posts, read no further ahead than the workers need.
        prepare: what to make of each picture.
        at_least: see ``open_picture``.
        workers: threads; as many as there are cores by default.

    Yields:
        Each post in order, with its prepared picture (``None`` where it has none) and what is wrong with it, if
        anything.
    """
    workers = workers or os.cpu_count() or 1

    def work(post: Post) -> tuple[Post, np.ndarray | None, Problem | None]:
        if post.problem or post.image is None:
            return post, None, post.problem
        try:
            return post, prepare(open_picture(post.image, at_least)), None
        except PictureError as error:
            return post, None, Problem(post.where, error.file, error.reason, error.remedy, about_image=True)

    ahead: deque[Future[tuple[Post, np.ndarray | None, Problem | None]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for post in posts:
                ahead.append(pool.submit(work, post))
                if len(ahead) > 8 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
