"""Fetch and decode the images of many posts in several threads, in order, with bounded memory."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError
from jointune.data.post import ImageSource, Post
from jointune.data.problems import Problem, joint_problem
from jointune.modalities.image.open import open_frames
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


class DecodedPost(NamedTuple):
    """A post with its prepared images.

    Attributes:
        post: without those of its images that cannot be used.
        images: as ``prepare`` returned them, in order.
        problem: what is wrong with the post, or with some of its images; None where nothing is.
    """

    post: Post
    images: list[np.ndarray]
    problem: Problem | None


def decode_posts(
    posts: Iterable[Post],
    prepare: Prepare,
    at_least: tuple[int, int] | None = None,
    workers: int | None = None,
    *,
    frames: int = 1,
    most_pixels: int = _MOST_PIXELS,
    most_waiting: int = _WAITING_BYTES,
) -> Iterator[DecodedPost]:
    """Decode and prepare each post's images.

    Args:
        posts: the posts, read no further ahead than the workers need.
        prepare: converts each image to an array.
        at_least: see ``open_frames``.
        workers: images that are decoded at a time; as many as there are cores by default.
        frames: see ``open_frames``.
        most_pixels: decoded at a time, unless one image has more.
        most_waiting: bytes of posts that are read ahead.

    Yields:
        Each post in order.

    Raises:
        MissingExtraError: the package that fetches an image is not installed.
    """
    workers = workers or available_cores()
    threads = max(workers, _LEAST_THREADS)
    room = _Room(workers, most_pixels)

    def work(post: Post) -> DecodedPost:
        if post.image is None or (post.problem and not post.problem.about_image):
            return DecodedPost(post, [], post.problem)
        prepared: list[np.ndarray] = []
        good: list[ImageSource] = []
        problems: dict[int, Problem] = {}
        for number, source in enumerate(post.images, 1):
            try:
                with ExitStack() as stack:
                    opened = open_frames(
                        source, frames, at_least, lambda pixels: stack.enter_context(room.taken(pixels))
                    )
                    own = [prepare(image) for image in opened]
                good.append(source)
                prepared += own
            except ImageError as error:
                problems[number] = Problem(post.where, error.file, error.reason, error.remedy, about_image=True)
        problem = post.problem or joint_problem(post.where, problems, len(post.images))
        return DecodedPost(replace(post, image=good) if problems else post, prepared, problem)

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
