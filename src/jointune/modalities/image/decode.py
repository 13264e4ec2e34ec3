"""Pictures of many posts, fetched and decoded by several threads, in order, with bounded memory."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError
from jointune.data.post import Post
from jointune.data.problems import Problem
from jointune.modalities.image.open import open_image
from jointune.utils.threads import available_cores

Prepare = Callable[[Image.Image], np.ndarray]

_LEAST_THREADS = 8
"""Some wait for a disk or a network; no more than there are cores decode at a time."""

_WAITING_BYTES = 64 * 2**20
"""Of rows that are read ahead: they may hold pictures."""

_PIXELS = 2**26
"""That are decoded at a time: half a gigabyte, as a picture is in memory in its own mode and as RGB, each in up to
4 bytes a pixel; about a gigabyte where all are WebP, whose decoder keeps two further copies."""


def decode_posts(
    posts: Iterable[Post], prepare: Prepare, at_least: tuple[int, int] | None = None, workers: int | None = None
) -> Iterator[tuple[Post, np.ndarray | None, Problem | None]]:
    """Decode and prepare each post's picture.

    Args:
        posts: the posts, read no further ahead than the workers need.
        prepare: what to make of each picture.
        at_least: see ``open_image``.
        workers: pictures that are decoded at a time; as many as there are cores by default.

    Yields:
        Each post in order, with its prepared picture (``None`` where it has none) and what is wrong with it, if
        anything.

    Raises:
        MissingExtraError: what fetches a picture is not installed.
    """
    workers = workers or available_cores()
    threads = max(workers, _LEAST_THREADS)
    room = _Room(workers, _PIXELS)

    def work(post: Post) -> tuple[Post, np.ndarray | None, Problem | None]:
        if post.problem or post.image is None:
            return post, None, post.problem
        try:
            with ExitStack() as taken:
                picture = open_image(post.image, at_least, lambda pixels: taken.enter_context(room.taken(pixels)))
                return post, prepare(picture), None
        except ImageError as error:
            return post, None, Problem(post.where, error.file, error.reason, error.remedy, about_image=True)

    ahead: deque[tuple[int, Future[tuple[Post, np.ndarray | None, Problem | None]]]] = deque()
    waiting = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for post in posts:
                size = post.nbytes
                ahead.append((size, pool.submit(work, post)))
                waiting += size
                while len(ahead) > 4 * threads or (waiting > _WAITING_BYTES and len(ahead) > 1):
                    size, first = ahead.popleft()
                    waiting -= size
                    yield first.result()
            while ahead:
                yield ahead.popleft()[1].result()
        finally:
            for _, future in ahead:
                future.cancel()


class _Room:
    """Lets in as many at a time as there are places and pixels for, or one that is larger than that by itself."""

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
