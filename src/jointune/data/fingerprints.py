"""By what a model knows the posts again that it was trained and validated on, without keeping them."""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
"""The file of a bundle or an export that holds the digests. Without it, all works but the notes of ``evaluate``."""

_DIGEST = np.dtype(">u8")
"""The first bytes of a SHA-256: eight, so that a million texts and pictures hardly meet by chance."""


class Known(IntEnum):
    """What a model knows of a post."""

    NOTHING = 0
    A_PART = 1
    """Its text or its picture is that of a post which the model was trained or validated on."""
    VALIDATION = 2
    """Text and picture, as far as it has them, are those of validation posts, or partly of training posts."""
    TRAINING = 3
    """Text and picture, as far as it has them, are those of training posts."""


@dataclass(frozen=True)
class LearnedPosts:
    """Digests of the texts and pictures of training and validation posts.

    Attributes:
        training: of training posts, ascending [N].
        validation: of validation posts, ascending [M].
    """

    training: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, training: Iterable[Sequence[bytes]], validation: Iterable[Sequence[bytes]]) -> "LearnedPosts":
        """From the digests of each post, as ``digests`` gives them."""
        return cls(*(np.unique(_packed(digest for post in part for digest in post)) for part in (training, validation)))

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> "LearnedPosts":
        """From what ``to_dict`` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            parts = [base64.b64decode(values[part], validate=True) for part in ("training", "validation")]
        except (KeyError, TypeError, binascii.Error) as reason:
            raise ValueError(f"no digests: {reason}") from reason
        return cls(*(np.frombuffer(part, dtype=_DIGEST) for part in parts))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        parts = {"training": self.training, "validation": self.validation}
        return {
            "digest": "the first 8 bytes of the SHA-256 of a text or of a picture's file",
            **{name: base64.b64encode(part.astype(_DIGEST).tobytes()).decode("ascii") for name, part in parts.items()},
        }

    def known(self, posts: Sequence[Post]) -> np.ndarray:
        """What is ``Known`` of each post, int [N]. Opens its picture's file, but fetches none."""
        with ThreadPoolExecutor(available_cores()) as pool:
            found = list(pool.map(lambda post: digests(post.text, _picture(post.image)), posts))
        return self.known_digests(found, [isinstance(post.image, RemoteImage) for post in posts])

    def known_digests(self, found: Sequence[Sequence[bytes]], partly: Sequence[bool] | None = None) -> np.ndarray:
        """The same by the digests of each post; ``partly`` says for which posts they are not all there."""
        rows = np.repeat(np.arange(len(found)), [len(row) for row in found])
        packed = _packed(digest for row in found for digest in row)
        trained, validated = np.isin(packed, self.training), np.isin(packed, self.validation)

        def of_each(hit: np.ndarray, every: bool) -> np.ndarray:
            count = np.bincount(rows, weights=hit, minlength=len(found))
            whole = np.bincount(rows, minlength=len(found))
            return (count == whole) & (whole > 0) if every else count > 0

        known = np.where(of_each(trained | validated, every=False), Known.A_PART, Known.NOTHING)
        whole = ~np.array(partly if partly is not None else [False] * len(found), dtype=bool)
        known[of_each(trained | validated, every=True) & whole] = Known.VALIDATION
        known[of_each(trained, every=True) & whole] = Known.TRAINING
        return known


def read_learned(folder: Path, whole: str) -> LearnedPosts | None:
    """What a bundle or an export knows of the posts; None where it was not kept, or deleted.

    Raises:
        BundleError: the file is damaged; the ``whole`` of it should be copied again.
    """
    path = folder / LEARNED
    if not os.path.lexists(path):
        return None
    with clear_read_errors(path, whole):
        return LearnedPosts.from_dict(read_json(path, whole))


def digests(text: str | None, picture: bytes | None) -> list[bytes]:
    """What tells a text and a picture from others, of those that there are.

    Args:
        text: compared without regard to case and white space.
        picture: what ``image_digest`` gave.
    """
    found = [] if text is None else [hashlib.sha256(plain_text(text).encode("utf-8", "replace")).digest()]
    return found if picture is None else [*found, picture]


def _picture(picture: ImageSource | None) -> bytes | None:
    if picture is None or isinstance(picture, RemoteImage):
        return None
    try:
        return image_digest(picture)
    except ImageError:
        return None  # told, or passed over, where pictures are opened


def _packed(found: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digest[: _DIGEST.itemsize] for digest in found), dtype=_DIGEST)


def posts_digest(posts: Posts) -> str:
    """SHA-256 of texts, pictures, labels and splits, in hexadecimal.

    A picture counts by its content, wherever it lies; one to be fetched by its address.
    """
    digest = hashlib.sha256()
    for post in posts:
        digest.update(repr((post.text, post.image_text, _identity(post.image), post.label, post.split)).encode())
    return digest.hexdigest()


def _identity(picture: ImageSource | None) -> str:
    if picture is None:
        return ""
    if isinstance(picture, RemoteImage):
        return str(picture)
    try:
        return image_digest(picture).hex()
    except ImageError as reason:
        return str(reason)  # told, or passed over, where pictures are opened
