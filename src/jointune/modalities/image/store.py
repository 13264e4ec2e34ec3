"""Every picture of a training run, decoded and resized once."""

import errno
import math
import os
import tempfile
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from jointune.data.image_file import ImageError, image_digest
from jointune.data.post import Post, Posts
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.errors import OutputError
from jointune.modalities.batch import Arrays
from jointune.modalities.image.decode import decode_posts
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.rows import ActivationStore, Rows
from jointune.utils.progress import Bar


class ImageStore:
    """Prepared pictures in a file: an epoch reads them at the speed of a copy, and memory does not grow with them.

    The file has no name and vanishes with the store, or with the process, however that ends.

    Attributes:
        digests: SHA-256 of the picture at each place that ``store_images`` gave.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._file = tempfile.TemporaryFile(prefix="jointune-pictures-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._places: dict[bytes, int] = {}
        self._count = 0
        self.digests: dict[int, bytes] = {}

    def find(self, digest: bytes) -> int | None:
        """Return the place of the image with this digest; None if it is not there."""
        return self._places.get(digest)

    def append(self, pixels: np.ndarray, digest: bytes) -> int:
        """Store uint8 [H, W, 3]; its place.

        Raises:
            OutputError: the disk is full.
        """
        try:
            # Written, not mapped: a full disk is then an error that can be caught, not a signal.
            content = np.ascontiguousarray(pixels).tobytes()
            if self._file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as reason:
            raise OutputError(
                f"no room for the resized pictures in {tempfile.gettempdir()}: {reason.strerror}",
                "free some, point TMPDIR to a larger disk, or clear what earlier runs left: see `jointune cache`",
            ) from reason
        place = self._count
        self._count += 1
        self._places[digest] = place
        return place

    def __getitem__(self, place: int) -> np.ndarray:
        return self._read(self._file, place)

    def _read(self, file: IO[bytes], place: int) -> np.ndarray:
        # A positioned read copies from the page cache as a memory map would, without counting towards the process.
        size = math.prod(self._shape)
        content = os.pread(file.fileno(), size, place * size) if place >= 0 else b""
        if len(content) < size:
            raise IndexError(place)
        return np.frombuffer(content, dtype=np.uint8).reshape(self._shape)


def store_images(
    posts: Posts, preprocessor: ImagePreprocessor, store: ImageStore, policy: OnBadImage, bar: Bar
) -> tuple[Posts, list[int | None], list[Problem]]:
    """Decode the pictures of ``posts`` into ``store``, each distinct file once.

    Returns:
        The posts that remain, the index in the store of each one's picture, and what was wrong with the others.

    Raises:
        PostsError: a post cannot be used and ``policy`` does not say how to go on.
        OutputError: the disk is full.
    """

    def source(post: Post) -> Hashable:
        return post.image if isinstance(post.image, Path) and not post.problem else id(post)

    distinct = {source(post): post for post in reversed(posts)}
    contents = {key: _digest(post) for key, post in distinct.items()}
    found: dict[Hashable, int | Problem | None] = {}
    for key, digest in contents.items():
        if digest is not None and (place := store.find(digest)) is not None:
            found[key] = place
    missing = [post for key, post in reversed(distinct.items()) if key not in found]
    height, width = preprocessor.resize
    bar.start(len(distinct), len(found))
    for post, pixels, problem in decode_posts(missing, preprocessor.prepare, (width, height)):
        digest = contents[source(post)]
        found[source(post)] = problem or (None if pixels is None or digest is None else store.append(pixels, digest))
        bar.advance()

    for key, at in found.items():
        if isinstance(at, int) and (digest := contents[key]) is not None:
            store.digests[at] = digest

    kept: list[Post] = []
    places: list[int | None] = []
    problems: list[Problem] = []
    fatal: list[Problem] = []
    for post in posts:
        outcome = found[source(post)]
        if not isinstance(outcome, Problem):
            kept.append(post)
            places.append(outcome)
            continue
        problem = replace(outcome, where=post.where)
        if stops(problem, post.text is not None, policy):
            fatal.append(problem)
        elif policy == "missing":
            kept.append(post)
            places.append(None)
        problems.append(problem)
    raise_problems(fatal, posts.name)
    return Posts(kept, posts.name), places, problems


class ImageRow(NamedTuple):
    """A drawn image: its pixels, uint8 [H, W, 3], None where activations replace them; and whether it is mirrored."""

    pixels: np.ndarray | None
    mirrored: bool


class ImageRows(Rows):
    """Images of posts, cropped and mirrored at random in training.

    Args:
        places: in the store, of each post's image; None where a post has none.
        preprocessor: crops the images.
        store: the prepared images.

    Attributes:
        activations: of each image, cropped at the centre; random crops are then out of reach.
        mirrored_activations: likewise of each image mirrored.
    """

    preprocessor: ImagePreprocessor

    def __init__(self, places: Sequence[int | None], preprocessor: ImagePreprocessor, store: ImageStore) -> None:
        super().__init__(places, preprocessor)
        self._store = store
        self.mirrored_activations: ActivationStore | None = None

    def row(self, index: int, random: np.random.Generator | None = None) -> ImageRow | None:
        """Return an image, cropped at the centre, or cropped and mirrored by ``random`` draws."""
        place = self.rows[index]
        if place is None:
            return None
        vertical, horizontal, mirror = (0.5, 0.5, 1.0) if random is None else random.random(3)
        if self.activations is not None:
            return ImageRow(None, mirror < 0.5)
        cropped = self.preprocessor.crop(self._store[place], (vertical, horizontal))
        return ImageRow(cropped[:, ::-1] if mirror < 0.5 else cropped, mirror < 0.5)

    def cacheable(self, augment: bool) -> bool:
        """Return whether images are never cropped at random."""
        return not augment or self.preprocessor.size == self.preprocessor.resize

    def content(self, index: int) -> bytes:
        """See ``Rows.content``: the SHA-256 of the image's file."""
        return self.digest(index) or b""

    def digest(self, index: int) -> bytes | None:
        """SHA-256 of a post's image; None where it has none."""
        place = self.rows[index]
        return None if place is None else self._store.digests[place]

    def collate(self, indices: Sequence[int], rows: Sequence[ImageRow]) -> tuple[Arrays | None, np.ndarray | None]:
        """Return pixels, or the activations where these are computed."""
        if self.activations is None:
            return self.preprocessor.collate([row.pixels for row in rows if row.pixels is not None]), None
        stores = [self.mirrored_activations if row.mirrored else self.activations for row in rows]
        return None, np.stack([store[index] for store, index in zip(stores, indices, strict=True) if store is not None])


def _digest(post: Post) -> bytes | None:
    """Return the digest of a post's image; None if there is none to be read."""
    if post.image is None or post.problem:
        return None
    try:
        return image_digest(post.image)
    except ImageError:
        return None  # decoding says what is wrong with it
