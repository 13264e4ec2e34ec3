"""Fetch and decode the images of many posts in several threads, in order, with bounded memory."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError
from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.modalities.image.open import open_image
from jointune.utils.threads import available_cores

Prepare = Callable[[Image.Image], np.ndarray]
T = TypeVar("T")

_LEAST_THREADS = 8
"""Some wait for a disk or a network; no more decode at a time than there are cores."""

_WAITING_BYTES = 64 * 2**20
"""The most bytes of rows that are read ahead: they may hold images."""

_MOST_PIXELS = 2**26
"""Decoded at a time: half a gigabyte, as an image is in memory in its own mode and as RGB, each in up to 4 bytes a
pixel; about a gigabyte if all are WebP, whose decoder makes two further copies."""


def decode_posts(
    posts: Iterable[Post],
    prepare: Prepare,
    at_least: tuple[int, int] | None = None,
    workers: int | None = None,
    *,
    most_pixels: int = _MOST_PIXELS,
    most_waiting: int = _WAITING_BYTES,
) -> Iterator[tuple[Post, np.ndarray | None, Problem | None]]:
    """Decode and prepare each post's image.

    Args:
        posts: the posts, read no further ahead than the workers need.
        prepare: converts each image to an array.
        at_least: see ``open_image``.
        workers: images that are decoded at a time; as many as there are cores by default.
        most_pixels: decoded at a time, unless one image has more.
        most_waiting: bytes of posts that are read ahead.

    Yields:
        Each post in order, with its prepared image (None if it has none) and its problem, if any.

    Raises:
        MissingExtraError: the package that fetches an image is not installed.
    """
    workers = workers or available_cores()
    threads = max(workers, _LEAST_THREADS)
    room = _Room(workers, most_pixels)

    def work(post: Post) -> tuple[Post, np.ndarray | None, Problem | None]:
        if post.problem or post.image is None:
            return post, None, post.problem
        try:
            with ExitStack() as stack:
                image = open_image(post.image, at_least, lambda pixels: stack.enter_context(room.taken(pixels)))
                return post, prepare(image), None
        except ImageError as error:
            return post, None, Problem(post.where, error.file, error.reason, error.remedy, about_image=True)

    return map_in_order(work, posts, threads, 4 * threads, most_waiting)


def map_in_order(
    work: Callable[[Post], T], posts: Iterable[Post], threads: int, most_ahead: int, most_waiting: int = _WAITING_BYTES
) -> Generator[T, None, None]:
    """Yield ``work(post)`` for each post, in order, computed by several threads.

    Posts are read ahead up to ``most_ahead`` of them, or ``most_waiting`` bytes, unless one has more.
    """
    ahead: deque[tuple[int, Future[T]]] = deque()
    waiting = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="images") as pool:
        try:
            for post in posts:
                size = post.nbytes
                ahead.append((size, pool.submit(work, post)))
                waiting += size
                while len(ahead) > most_ahead or (waiting > most_waiting and len(ahead) > 1):
                    size, first = ahead.popleft()
                    waiting -= size
                    yield first.result()
            while ahead:
                yield ahead.popleft()[1].result()
        finally:
            for _, future in ahead:
                future.cancel()


class _Room:
    """Admit threads as long as there are places and pixels for them, or a single one of any size."""

    def __init__(self, places: int, pixels: int) -> None:
        self._places, self._most = places, pixels
        self._inside: list[int] = []
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._fits(pixels))
            self._inside.append(pixels)
        try:
            yield
        finally:
            with self._changed:
                self._inside.remove(pixels)
                self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        return not self._inside or (len(self._inside) < self._places and sum(self._inside) + pixels <= self._most)
