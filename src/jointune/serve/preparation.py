"""Posts as requests hold them to what the model takes."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.post import Post
from jointune.inference.predictor import Predictor
from jointune.modalities.image import ocr
from jointune.serve.untrusted_images import decode_image


@dataclass(frozen=True)
class Prepared:
    """One post.

    Attributes:
        rows: by modality; None for one that it came without.
    """

    rows: dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What is kept of a picture.

    Attributes:
        pixels: uint8 [H, W, 3].
        readable: what the text in it is read from; None where the model does not read it.
    """

    pixels: np.ndarray
    readable: Image.Image | None


class Preparation:
    """Tokens and pixels of a post, by the same functions as in training and in ``jointune predict``.

    In steps, which need different amounts of memory and time; each is for several threads.

    Args:
        predictor: whose preprocessing it is.

    Raises:
        MissingExtraError: the model reads the text in pictures, and what does that is not installed.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._ocr = ocr.load_ocr() if predictor.read_image_text else None
        self._own = threading.local()

    def see(self, picture: bytes) -> Seen:
        """Decode the content of a picture's file.

        Raises:
            Refused: the picture cannot be used.
        """
        image = self._predictor.image
        height, width = image.resize
        pixels = image.crop(image.prepare(decode_image(picture, (width, height))))
        return Seen(pixels, None if self._ocr is None else ocr.fitted(decode_image(picture, None)))

    def read(self, seen: Seen) -> str | None:
        """The text in a picture; None where the model does not read it."""
        if self._ocr is None or seen.readable is None:
            return None
        if not hasattr(self._own, "reader"):
            self._own.reader = self._ocr.make_reader()  # for one thread at a time
        text: str = self._own.reader(seen.readable)
        return text

    def prepare(self, text: str | None, seen: Seen | None, image_text: str | None) -> Prepared:
        """Put a post together from its text and what was seen and read."""
        rows = self._predictor.rows([Post(text, image_text=image_text)], [seen.pixels if seen else None])
        return Prepared({name: of_modality[0] for name, of_modality in rows.items()})
