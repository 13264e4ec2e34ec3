"""Read the text in the images of many posts in several threads, in order, each image once."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from jointune.data.image_file import ImageError, image_digest
from jointune.data.post import ImageSource, Post, Posts
from jointune.data.problems import Problem
from jointune.errors import PostsError
from jointune.modalities.image import ocr
from jointune.modalities.image.decode import map_in_order
from jointune.modalities.image.open import open_frames
from jointune.utils.cache_dir import PATIENCE, cache_folder, say_not_kept
from jointune.utils.progress import Bar, QuietBar, progress_bar
from jointune.utils.threads import available_cores

_MOST_WORKERS = 8
"""Each takes up to half a gigabyte for a large image."""


def unread(post: Post) -> bool:
    """Return whether a post has images whose text was not read."""
    return post.image is not None and post.image_text is None and post.problem is None


def read_image_text(
    posts: Iterable[Post],
    bar: Bar = QuietBar(),  # noqa: B008 - it has no state
    workers: int | None = None,
    frames: int = 1,
) -> Iterator[Post]:
    """Add the text in its images to each post.

    Texts are cached between runs, also if a run is interrupted. An image that cannot be opened is passed on: whoever
    needs its pixels reports it.

    Args:
        posts: read no further ahead than the workers need. A post that has ``image_text`` already keeps it.
        bar: advances with every image.
        workers: threads; as many as there are cores, but at most 8, by default.
        frames: of a moving image or a video that are read; see ``open_frames``.

    Returns:
        The posts in their order, with ``image_text``: None if a post has no image that can be opened.

    Raises:
        MissingExtraError: the OCR is not installed; raised at once, not with the first post.
        PostsError: the OCR fails on an image that is otherwise good.
    """
    return _read(posts, _Texts(ocr.load_ocr(), frames), bar, workers or min(available_cores(), _MOST_WORKERS))


def read_with_bar(posts: Iterable[Post], shown: bool, frames: int) -> Iterator[Post]:
    """Call ``read_image_text`` with a progress bar, if it is to be ``shown`` and the number of posts is known."""
    count = sum(map(unread, posts)) if isinstance(posts, Posts) else 0
    with progress_bar("reading text in pictures", "pictures", shown and count > 0) as bar:
        bar.start(count)
        yield from read_image_text(posts, bar, frames=frames)


def _read(posts: Iterable[Post], texts: "_Texts", bar: Bar, workers: int) -> Iterator[Post]:
    with closing(texts.cache):
        done = map_in_order(lambda post: (unread(post), texts.complete(post)), posts, workers, 2 * workers)
        with closing(done):
            for is_read, post in done:
                if is_read:
                    bar.advance()
                yield post


class _Texts:
    """The state that the threads share: the cache, and the images that are being read."""

    def __init__(self, engine: ocr.Ocr, frames: int) -> None:
        self.cache = TextCache(engine.version if frames == 1 else f"{engine.version}, {frames} frames")
        self._engine, self._frames = engine, frames
        self._own = threading.local()
        self._lock = threading.Lock()
        self._pending: dict[bytes, Future[str]] = {}

    def complete(self, post: Post) -> Post:
        if not unread(post):
            return post
        texts = []
        for image in post.images:
            with suppress(ImageError):
                texts.append(self._text_of(image, post.where))
        return replace(post, image_text="\n".join(filter(None, texts))) if texts else post

    def _text_of(self, image: ImageSource, where: str) -> str:
        try:
            return self._text(image)
        except ImageError:
            raise
        except Exception as reason:
            what = str(image) if isinstance(image, Path) else "the picture"
            why = f"the text in it could not be read ({type(reason).__name__}: {reason})"
            problem = Problem(where, what, why, "save the picture anew, or do without read_image_text")
            raise PostsError(str(problem)) from reason

    def _text(self, image: ImageSource) -> str:
        digest = image_digest(image)
        with self._lock:
            cached = self.cache.get(digest)
            if cached is not None:
                return cached
            elsewhere = self._pending.get(digest)
            mine: Future[str] = Future()
            if elsewhere is None:
                self._pending[digest] = mine
        if elsewhere is not None:
            return elsewhere.result()
        try:
            if not hasattr(self._own, "reader"):
                self._own.reader = self._engine.make_reader()
            text = ocr.read_frames(self._own.reader, open_frames(image, self._frames))
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


class TextCache:
    """A small database of texts by image and version of the reader, which several processes may share.

    If it is damaged, read-only, or locked for longer than ``patience`` seconds, this is logged once, and texts are read
    without it.
    """

    def __init__(self, version: str, patience: float = PATIENCE) -> None:
        self._version = version
        self._path = Path("~/.cache")
        self._connection: sqlite3.Connection | None = None
        self._writable = True
        try:
            self._path = cache_folder() / "image-text.sqlite"
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's images may be private
            # Threads take turns by the lock of ``_Texts``.
            self._connection = sqlite3.connect(
                self._path, timeout=patience, isolation_level=None, check_same_thread=False
            )
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS texts "
                "(picture BLOB, reader TEXT, text TEXT, PRIMARY KEY (picture, reader)) WITHOUT ROWID"
            )
        except (OSError, RuntimeError, sqlite3.Error) as reason:
            self.close()
            self._log(reason)

    def get(self, digest: bytes) -> str | None:
        """Return the text of the image with this digest; None if it is not cached."""
        if self._connection is None:
            return None
        query = "SELECT text FROM texts WHERE picture = ? AND reader = ?"
        try:
            row = self._connection.execute(query, (digest, self._version)).fetchone()
        except sqlite3.Error as reason:
            self.close()
            self._log(reason)
            return None
        return row[0] if row and isinstance(row[0], str) else None

    def put(self, digest: bytes, text: str) -> None:
        """Cache the text of the image with this digest."""
        if self._connection is None or not self._writable:
            return
        try:
            self._connection.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", (digest, self._version, text))
        except sqlite3.Error as reason:
            self._writable = False
            self._log(reason)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _log(self, reason: Exception) -> None:
        say_not_kept(
            f"texts read in pictures are not kept in {self._path}: {reason}; delete it, or name a folder in "
            "JOINTUNE_CACHE"
        )
