"""Every picture of a training run, decoded and resized once."""

import errno
import hashlib
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
from jointune.data.post import ImageSource, Post, Posts
from jointune.data.problems import OnBadImage, Problem, joint_problem, raise_problems, stops
from jointune.errors import OutputError
from jointune.modalities.batch import Arrays
from jointune.modalities.image.augment import changed
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
) -> tuple[Posts, list[tuple[int, ...]], list[Problem]]:
    """Decode the pictures of ``posts`` into ``store``, each distinct file once.

    Returns:
        The posts that remain, the places in the store of each one's images, and what was wrong with the others.

    Raises:
        PostsError: a post cannot be used and ``policy`` does not say how to go on.
        OutputError: the disk is full.
    """
    distinct = {_key(source): source for post in posts if _readable(post) for source in post.images}
    contents = {key: _digest(source) for key, source in distinct.items()}
    frames = preprocessor.frames
    found: dict[Hashable, tuple[int, ...] | Problem] = {}
    for key, digest in contents.items():
        if digest is not None and (stored := _find(store, digest, frames)):
            found[key] = stored
    missing = [Post(image=source) for key, source in distinct.items() if key not in found]
    keys = [key for key in distinct if key not in found]
    height, width = preprocessor.resize
    bar.start(len(distinct), len(found))
    decoded = decode_posts(missing, preprocessor.prepare, (width, height), frames=frames)
    for key, (_, images, problem) in zip(keys, decoded, strict=True):
        digest = contents[key]
        names = [] if digest is None else _frame_digests(digest, len(images), frames)
        found[key] = problem or tuple(map(store.append, images, names))
        bar.advance()

    for key, outcome in found.items():
        if isinstance(outcome, tuple) and (digest := contents[key]) is not None:
            store.digests |= dict.fromkeys(outcome, digest)

    kept: list[Post] = []
    places: list[tuple[int, ...]] = []
    problems: list[Problem] = []
    fatal: list[Problem] = []
    for post in posts:
        outcomes = [(source, found[_key(source)]) for source in post.images] if _readable(post) else []
        good = [source for source, outcome in outcomes if not isinstance(outcome, Problem)]
        bad = {number: outcome for number, (_, outcome) in enumerate(outcomes, 1) if isinstance(outcome, Problem)}
        problem = post.problem or joint_problem(post.where, bad, len(outcomes))
        if problem:
            problems.append(problem)
            post = replace(post, image=good)
            if stops(problem, not post.empty, policy):
                fatal.append(problem)
        if problem is None or policy == "missing":
            kept.append(post)
            places.append(tuple(place for _, stored in outcomes if isinstance(stored, tuple) for place in stored))
    raise_problems(fatal, posts.name)
    return Posts(kept, posts.name), places, problems


def _find(store: ImageStore, digest: bytes, frames: int) -> tuple[int, ...] | None:
    """Return the places of an image, or of all of its frames; None where one is not there."""
    for count in range(1, frames + 1):  # how many it has is not known before it is opened
        places: list[int] = []
        for frame in _frame_digests(digest, count, frames):
            if (place := store.find(frame)) is None:
                break
            places.append(place)
        if len(places) == count:
            return tuple(places)
    return None


def _frame_digests(digest: bytes, count: int, most: int) -> list[bytes]:
    """Return what identifies each of the ``count`` frames of an image of which ``most`` are used at most."""
    if most == 1:
        return [digest]
    names = (f"{number} of {count}, {most} at most" for number in range(count))
    return [hashlib.sha256(digest + name.encode()).digest() for name in names]


def _readable(post: Post) -> bool:
    """Return whether a post may be used, without its bad images."""
    return post.problem is None or post.problem.about_image


def _key(source: ImageSource) -> Hashable:
    return source if isinstance(source, Path) else id(source)


class ImageRow(NamedTuple):
    """A drawn image: its pixels, uint8 [H, W, 3], None where activations replace them; and its version.

    The row of a post is a list of these.
    """

    pixels: np.ndarray | None
    version: int


class ImageRows(Rows):
    """Images of posts, in training cropped at random, and one of several versions.

    Version 0 is the image as it is. The others are as many changed copies as asked for, each the same in every epoch
    and run; or, where none are, the mirrored image.

    Args:
        places: in the store, of each post's images.
        preprocessor: crops the images.
        store: the prepared images.
        copies: of each image, changed by ``augment.changed``.

    Attributes:
        activations: of each post's images, [K, ...], cropped at the centre; random crops are then out of reach.
        version_activations: likewise of versions 1 and up.
    """

    preprocessor: ImagePreprocessor

    def __init__(
        self, places: Sequence[tuple[int, ...]], preprocessor: ImagePreprocessor, store: ImageStore, copies: int = 0
    ) -> None:
        super().__init__([own or None for own in places], preprocessor)
        self._store, self._copies = store, copies
        self.version_activations: list[ActivationStore] = []

    @property
    def images(self) -> int:
        """The number of images of all posts."""
        return sum(len(places) for places in self.rows if places is not None)

    def row(self, index: int, random: np.random.Generator | None = None) -> list[ImageRow] | None:
        """Return the images of a post, cropped at the centre, or a version cropped by ``random`` draws."""
        places = self.rows[index]
        return None if places is None else [self._draw(place, random) for place in places]

    def _draw(self, place: int, random: np.random.Generator | None) -> ImageRow:
        vertical, horizontal, version = 0.5, 0.5, 0
        if random is not None:
            vertical, horizontal, drawn = random.random(3)
            version = self.versions - 1 - int(drawn * self.versions)
        if self.activations is not None:
            return ImageRow(None, version)
        return ImageRow(self.version(place, version, (vertical, horizontal)), version)

    def all_of(self, index: int, version: int) -> list[np.ndarray]:
        """Return a version of all images of a post, uint8 [H, W, 3] each, cropped at the centre."""
        return [self.version(place, version) for place in self.rows[index]]

    @property
    def versions(self) -> int:
        """The number of versions of an image, of which training draws."""
        return 1 + (self._copies or 1)

    def version(self, place: int, version: int, offset: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
        """Return a version of the image at a place, uint8 [H, W, 3], cropped at ``offset``."""
        pixels = self.preprocessor.crop(self._store[place], offset)
        if not version:
            return pixels
        if not self._copies:
            return pixels[:, ::-1]
        # By its content: the place depends on what earlier runs left in the cache.
        random = np.random.default_rng([version, *self._store.digests[place]])
        return changed(pixels, random, tuple(self.preprocessor.mean_colour.tolist()))

    def cacheable(self, augment: bool) -> bool:
        """Return whether images are never cropped at random."""
        return not augment or self.preprocessor.size == self.preprocessor.resize

    def content(self, index: int) -> bytes:
        """See ``Rows.content``: the SHA-256 of each image's file."""
        return b"".join(self.digests(index))

    def digests(self, index: int) -> list[bytes]:
        """SHA-256 of each of a post's images; that of the whole for each frame."""
        return [self._store.digests[place] for place in self.rows[index] or ()]

    def collate(
        self, indices: Sequence[int], rows: Sequence[list[ImageRow]]
    ) -> tuple[Arrays | None, np.ndarray | None]:
        """Return pixels, or the activations where these are computed."""
        if self.activations is None:
            pixels = [[image.pixels for image in row if image.pixels is not None] for row in rows]
            return self.preprocessor.collate(pixels), None
        activations = []
        for index, row in zip(indices, rows, strict=True):
            stores = (self.activations, *self.version_activations)
            own = {version: stores[version][index] for version in {image.version for image in row}}
            activations += [own[image.version][number] for number, image in enumerate(row)]
        return None, np.stack(activations)


def _digest(source: ImageSource) -> bytes | None:
    """Return the digest of an image; None if it cannot be read."""
    try:
        return image_digest(source)
    except ImageError:
        return None  # decoding says what is wrong with it
