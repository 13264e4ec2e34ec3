"""Content hashes of posts: to recognise the posts that a model was trained on, and the data set of a resumed run."""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from jointune.data.image_file import ImageError, image_digest
from jointune.data.post import ImageSource, Post, Posts, RemoteImage
from jointune.data.split import plain_text
from jointune.utils.files import clear_read_errors, read_json
from jointune.utils.threads import available_cores

LEARNED = "learned_posts.json"
"""The file of a bundle or an export that holds the digests. Without it, only some notes of ``evaluate`` are missing."""

_DIGEST = np.dtype(">u8")
"""The first 8 bytes of a SHA-256: enough that a million texts and images hardly collide."""


class Known(IntEnum):
    """Whether a model was trained or validated on a post."""

    NOTHING = 0
    A_PART = 1
    """Its text or one of its images is that of a training or validation post."""
    VALIDATION = 2
    """Its text and images, as far as it has them, are those of validation or training posts, not all of training."""
    TRAINING = 3
    """Its text and images, as far as it has them, are those of training posts."""


@dataclass(frozen=True)
class LearnedPosts:
    """Digests of the texts and images of training and validation posts.

    Attributes:
        training: of training posts, ascending, uint64 [N].
        validation: of validation posts, ascending, uint64 [M].
    """

    training: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, training: Iterable[Sequence[bytes]], validation: Iterable[Sequence[bytes]]) -> "LearnedPosts":
        """Collect the ``digests`` of each post."""
        return cls(*(np.unique(_packed(digest for post in part for digest in post)) for part in (training, validation)))

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> "LearnedPosts":
        """Restore what ``to_dict`` returned.

        Raises:
            ValueError: the values are others.
        """
        try:
            parts = [base64.b64decode(values[part], validate=True) for part in ("training", "validation")]
        except (KeyError, TypeError, binascii.Error) as reason:
            raise ValueError(f"no digests: {reason}") from reason
        return cls(*(np.frombuffer(part, dtype=_DIGEST) for part in parts))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        parts = {"training": self.training, "validation": self.validation}
        return {
            "digest": "the first 8 bytes of the SHA-256 of a text or of a picture's file",
            **{name: base64.b64encode(part.astype(_DIGEST).tobytes()).decode("ascii") for name, part in parts.items()},
        }

    def known(self, posts: Sequence[Post]) -> np.ndarray:
        """Return ``Known`` of each post, int [N]. Opens the files of images, but fetches none."""

        def digests_of(post: Post) -> list[bytes]:
            images = []
            for image in post.images:
                with suppress(ImageError):  # reported when images are opened
                    images += [] if isinstance(image, RemoteImage) else [image_digest(image)]
            return digests(post, images)

        with ThreadPoolExecutor(available_cores()) as pool:
            rows = list(pool.map(digests_of, posts))
        remote = [any(isinstance(image, RemoteImage) for image in post.images) for post in posts]
        return self.known_digests(rows, remote)

    def known_digests(self, posts: Sequence[Sequence[bytes]], incomplete: Sequence[bool] | None = None) -> np.ndarray:
        """Return ``Known`` of each post by its ``digests``; ``incomplete`` marks posts that lack one."""
        owner = np.repeat(np.arange(len(posts)), [len(row) for row in posts])
        packed = _packed(digest for row in posts for digest in row)
        trained, validated = np.isin(packed, self.training), np.isin(packed, self.validation)

        def hits(hit: np.ndarray) -> np.ndarray:
            return np.bincount(owner, weights=hit, minlength=len(posts))

        total = hits(np.ones(len(packed)))
        whole = (total > 0) & ~np.array([False] * len(posts) if incomplete is None else incomplete, dtype=bool)
        known = np.where(hits(trained | validated) > 0, Known.A_PART, Known.NOTHING)
        known[whole & (hits(trained | validated) == total)] = Known.VALIDATION
        known[whole & (hits(trained) == total)] = Known.TRAINING
        return known


def read_learned(folder: Path, whole: str) -> LearnedPosts | None:
    """Read the digests of a bundle or an export; None if it has none.

    Raises:
        BundleError: the file is damaged, and the ``whole`` of the folder should be copied again.
    """
    path = folder / LEARNED
    if not os.path.lexists(path):
        return None
    with clear_read_errors(path, whole):
        return LearnedPosts.from_dict(read_json(path, whole))


def digests(post: Post, images: Iterable[bytes]) -> list[bytes]:
    """Return the SHA-256 of a post's text, whose case and white space do not count, and of its files.

    Args:
        post: the post.
        images: the digests of its images.
    """
    text = post.whole_text
    own = [] if text is None else [hashlib.sha256(plain_text(text).encode("utf-8", "replace")).digest()]
    own += dict.fromkeys(images)
    for source in post.files.values():
        with suppress(ImageError):  # reported when it is opened
            own += [] if isinstance(source, RemoteImage) else [image_digest(source)]
    return own


def _packed(rows: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digest[: _DIGEST.itemsize] for digest in rows), dtype=_DIGEST)


def posts_digest(posts: Posts, columns: Sequence[str] = ()) -> str:
    """Return the content hash of a data set: SHA-256 of texts, images, labels and splits, in hexadecimal.

    An image counts by its content, wherever its file is; a remote one by its address.

    Args:
        posts: the data set.
        columns: further columns that count.
    """
    digest = hashlib.sha256()
    for post in posts:
        content = (post.text, post.image_text, "".join(map(_identity, post.images)), post.label, post.split)
        second = () if post.second_text is None else (post.second_text,)
        division = [str(value) for value in (post.group, post.time) if value is not None]
        more = (*second, *map(_identity, post.files.values()), *division)
        digest.update(repr((*content, *more, *(str(post.fields.get(name)) for name in columns))).encode())
    return digest.hexdigest()


def _identity(image: ImageSource) -> str:
    if isinstance(image, RemoteImage):
        return str(image)
    try:
        return image_digest(image).hex()
    except ImageError as error:
        return str(error)  # reported when images are opened
