"""The text in the pictures of many posts: read by several threads, in order, once a picture."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from jointune.cores import available_cores
from jointune.errors import PostsError
from jointune.posts import ocr
from jointune.posts.pictures import PictureError, open_picture, picture_digest
from jointune.posts.post import Picture, Post, Posts
from jointune.posts.problems import Problem
from jointune.posts.text_cache import TextCache
from jointune.progress import Bar, QuietBar, progress_bar

_MOST_WORKERS = 8
"""Each takes up to half a gigabyte for a large picture."""


def unread(post: Post) -> bool:
    """Whether ``read_image_text`` has a picture to look at."""
    return post.image is not None and post.image_text is None and post.problem is None


def read_image_text(
    posts: Iterable[Post],
    bar: Bar = QuietBar(),  # noqa: B008 - it has no state
    workers: int | None = None,
) -> Iterator[Post]:
    """Give each post the text in its picture.

    A text that was read once is kept between runs, also if this one is interrupted. A picture that cannot be opened is
    left to whoever needs its pixels, and says what is wrong with it.

    Args:
        posts: read no further ahead than the workers need. A post that has ``image_text`` already keeps it.
        bar: advances with every picture.
        workers: threads; as many as there are cores, but at most 8, by default.

    Returns:
        The posts in their order, with ``image_text``: None where a post has no picture that can be opened.

    Raises:
        MissingExtraError: the OCR is not installed; at once, not when the first post is asked for.
        PostsError: the OCR fails on a picture that is otherwise good.
    """
    return _read(posts, ocr.load_ocr(), bar, workers or min(available_cores(), _MOST_WORKERS))


def read_with_bar(posts: Iterable[Post], shown: bool) -> Iterator[Post]:
    """The same, with a bar where it is ``shown`` and the number of posts is known."""
    count = sum(map(unread, posts)) if isinstance(posts, Posts) else 0
    with progress_bar("reading text in pictures", "pictures", shown and count > 0) as bar:
        bar.start(count)
        yield from read_image_text(posts, bar)


def _read(posts: Iterable[Post], engine: ocr.Ocr, bar: Bar, workers: int) -> Iterator[Post]:
    texts = _Texts(engine)
    ahead: deque[tuple[bool, Future[Post]]] = deque()

    def first() -> Post:
        counts, future = ahead.popleft()
        post = future.result()
        if counts:
            bar.advance()
        return post

    with closing(texts.cache), ThreadPoolExecutor(workers, thread_name_prefix="ocr") as pool:
        try:
            for post in posts:
                ahead.append((unread(post), pool.submit(texts.complete, post)))
                if len(ahead) > 2 * workers:
                    yield first()
            while ahead:
                yield first()
        finally:
            for _, future in ahead:
                future.cancel()


class _Texts:
    """What the threads share: the cache, and which pictures are being read."""

    def __init__(self, engine: ocr.Ocr) -> None:
        self.cache = TextCache(engine.version)
        self._engine = engine
        self._own = threading.local()
        self._lock = threading.Lock()
        self._pending: dict[bytes, Future[str]] = {}

    def complete(self, post: Post) -> Post:
        if not unread(post) or post.image is None:
            return post
        try:
            return replace(post, image_text=self._text(post.image))
        except PictureError:
            return post
        except Exception as reason:
            what = str(post.image) if isinstance(post.image, Path) else "the picture"
            why = f"the text in it could not be read ({type(reason).__name__}: {reason})"
            problem = Problem(post.where, what, why, "save the picture anew, or do without read_image_text")
            raise PostsError(str(problem)) from reason

    def _text(self, picture: Picture) -> str:
        digest = picture_digest(picture)
        with self._lock:
            known = self.cache.get(digest)
            if known is not None:
                return known
            elsewhere = self._pending.get(digest)
            mine: Future[str] = Future()
            if elsewhere is None:
                self._pending[digest] = mine
        if elsewhere is not None:
            return elsewhere.result()
        try:
            if not hasattr(self._own, "reader"):
                self._own.reader = self._engine.make_reader()
            text = self._own.reader(open_picture(picture))
            mine.set_result(text)
            return text
        except BaseException as reason:
            mine.set_exception(reason)
            raise
        finally:
            with self._lock:
                del self._pending[digest]
                if mine.exception() is None:
                    self.cache.put(digest, mine.result())
