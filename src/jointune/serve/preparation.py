"""Posts to what the model takes, one at a time; and images of strangers, checked before they are decoded."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from jointune.data.image_file import ImageError
from jointune.data.post import Post
from jointune.errors import MissingExtraError, PostsError
from jointune.inference.predictor import Predictor
from jointune.inference.scored import Scored
from jointune.modalities.batch import collate
from jointune.modalities.image import ocr
from jointune.modalities.image.open import open_frames
from jointune.serve.limits import Limits
from jointune.serve.refusal import Refused

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""Formats that phones and browsers send; each further decoder could be attacked too."""


def check_image(content: bytes, limits: Limits, frames: int = 1) -> bool:
    """Check an image file before it is decoded, and tell whether it is large, to be decoded alone.

    Args:
        content: the file, of which the first bytes are looked at; all of a moving one, if further frames are used.
        limits: what is too large.
        frames: of a moving image that are used.

    Raises:
        Refused: 413, 415 or 422.
    """
    if len(content) > limits.image_bytes:
        raise Refused(413, f"larger than {limits.image_bytes:,} bytes", "save it smaller")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
            moving = pixels * getattr(image, "n_frames", 1) if frames > 1 else pixels
    except Image.DecompressionBombError as error:
        raise Refused(413, "far too many pixels", "save it smaller") from error
    except UnidentifiedImageError as error:
        reason = f"not a picture in an accepted format ({', '.join(FORMATS)})"
        raise Refused(415, reason, "convert it to one of them") from error
    except Exception as error:  # decoders raise nearly anything on damaged input
        raise Refused(422, f"damaged ({type(error).__name__})", "send the file whole, or save it anew") from error
    if pixels > limits.image_pixels:
        raise Refused(413, f"more than {limits.image_pixels:,} pixels", "save it smaller")
    if moving > _MOVING * limits.image_pixels:
        raise Refused(413, f"more than {_MOVING * limits.image_pixels:,} pixels in all frames", "save it shorter")
    return moving > limits.large_pixels


@contextmanager
def _refused_if_bad() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise Refused(422, error.reason, "send the file whole, or save it anew") from error


_MOVING = 8
"""Times the pixels of one image that all frames of a moving one may have, if they are decoded."""


_ANY = Post("")
"""Stands for a post whose content is no longer needed."""


class PreparedPost(NamedTuple):
    """A post, and its rows by modality; None for what it comes without."""

    post: Post
    rows: dict[str, Any]


class Preparation:
    """Prepares posts by the same functions as training and ``jointune predict``.

    The steps need different amounts of memory and time, so each has a method; all are safe to call from several
    threads.

    Raises:
        MissingExtraError: the model reads the text in images, and the OCR is not installed.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self._predictor, self._limits = predictor, limits
        self._ocr = ocr.load_ocr() if predictor.read_image_text else None
        self._thread = threading.local()

    def decode(self, content: bytes) -> list[np.ndarray]:
        """Decode an image file that ``check_image`` let pass.

        Returns:
            Its frames as the model takes them, uint8 [H, W, 3] each; one for an image that does not move.

        Raises:
            Refused: 422.
        """
        processor = self._predictor.image
        height, width = processor.resize
        with _refused_if_bad():
            opened = open_frames(content, processor.frames, (width, height))
            return [processor.crop(processor.prepare(image)) for image in opened]

    def read_text(self, content: bytes) -> str:
        """Return the text in an image file, of a model that reads it; see ``decode``."""
        assert self._ocr is not None, "the model reads it"
        if not hasattr(self._thread, "reader"):
            self._thread.reader = self._ocr.make_reader()  # not safe to share between threads
        with _refused_if_bad():
            return ocr.read_frames(self._thread.reader, open_frames(content, self._predictor.image.frames))

    def prepare(self, post: Post, frames: list[np.ndarray]) -> PreparedPost:
        """Prepare a post with the frames of its decoded images.

        Raises:
            Refused: 413, 415 or 422, a field is unknown or no number, or a file is too large, damaged or not read here.
        """
        if unknown := sorted(post.fields.keys() - self._predictor.columns.keys()):
            known = ", ".join(self._predictor.columns) or "none"
            raise Refused(422, f"fields: the model reads no {unknown[0][:80]!r}", f"leave it out; it reads {known}")
        if any(len(source) > self._limits.image_bytes for source in post.files.values() if isinstance(source, bytes)):
            raise Refused(413, f"a file larger than {self._limits.image_bytes:,} bytes", "save it smaller")
        try:
            rows = self._predictor.rows([post], [frames])
        except PostsError as error:
            raise Refused(422, error.reason, error.remedy) from error
        except MissingExtraError as error:
            raise Refused(415, "a sound in a video, which this server does not read", "send it as WAV") from error
        return PreparedPost(post, {name: of_modality[0] for name, of_modality in rows.items()})

    def score(self, posts: list[PreparedPost]) -> list[Scored]:
        """Score posts as one batch; only for one thread at a time."""
        preprocessors = self._predictor.preprocessors
        rows = {name: [post.rows[name] for post in posts] for name in preprocessors}
        batch = collate(range(len(posts)), rows, preprocessors)
        return self._predictor.score([_ANY] * len(posts), [batch])
