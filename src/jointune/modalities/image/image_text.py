"""The text in the pictures of many posts: read by several threads, in order, once a picture."""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from jointune.data.image_file import ImageError, image_digest
from jointune.data.post import ImageSource, Post, Posts
from jointune.data.problems import Problem
from jointune.errors import PostsError
from jointune.modalities.image import ocr
from jointune.modalities.image.open import open_image
from jointune.utils.cache_dir import PATIENCE, cache_folder, say_not_kept
from jointune.utils.progress import Bar, QuietBar, progress_bar
from jointune.utils.threads import available_cores

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
        except ImageError:
            return post
        except Exception as reason:
            what = str(post.image) if isinstance(post.image, Path) else "the picture"
            why = f"the text in it could not be read ({type(reason).__name__}: {reason})"
            problem = Problem(post.where, what, why, "save the picture anew, or do without read_image_text")
            raise PostsError(str(problem)) from reason

    def _text(self, picture: ImageSource) -> str:
        digest = image_digest(picture)
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
            text = self._own.reader(open_image(picture))
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
    """A small database of texts by picture, which several processes may share.

    It saves time and nothing else: one that is damaged, read-only or locked for long is said so once, and done without.

    Args:
        version: of what reads the texts; those of another version are not found.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._path = Path("~/.cache")
        self._connection: sqlite3.Connection | None = None
        self._writable = True
        try:
            self._path = cache_folder() / "image-text.sqlite"
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's pictures may be private
            # Whoever uses the cache sees to it that threads take turns.
            self._connection = sqlite3.connect(
                self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS texts "
                "(picture BLOB, reader TEXT, text TEXT, PRIMARY KEY (picture, reader)) WITHOUT ROWID"
            )
        except (OSError, RuntimeError, sqlite3.Error) as reason:
            self.close()
            _say(self._path, reason)

    def get(self, picture: bytes) -> str | None:
        """The text of the picture with this digest; None where it is not known."""
        if self._connection is None:
            return None
        query = "SELECT text FROM texts WHERE picture = ? AND reader = ?"
        try:
            row = self._connection.execute(query, (picture, self._version)).fetchone()
        except sqlite3.Error as reason:
            self.close()
            _say(self._path, reason)
            return None
        return row[0] if row and isinstance(row[0], str) else None

    def put(self, picture: bytes, text: str) -> None:
        """Keep the text of the picture with this digest."""
        if self._connection is None or not self._writable:
            return
        try:
            self._connection.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", (picture, self._version, text))
        except sqlite3.Error as reason:
            self._writable = False
            _say(self._path, reason)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _say(path: Path, reason: Exception) -> None:
    say_not_kept(
        f"texts read in pictures are not kept in {path}: {reason}; delete it, or name a folder in JOINTUNE_CACHE"
    )
