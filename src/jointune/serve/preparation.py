"""Posts as requests hold them to what the model takes."""

import threading
from dataclasses import dataclass

import numpy as np

from jointune.batches.texts import encode_posts
from jointune.batches.tokens import Tokens
from jointune.posts import ocr
from jointune.posts.post import Post
from jointune.scorer import Scorer
from jointune.serve.limits import Limits
from jointune.serve.pictures import PictureReader


@dataclass(frozen=True)
class Prepared:
    """One post; None stands for what it came without.

    Attributes:
        tokens: of what the text encoder reads.
        pixels: uint8 [H, W, 3].
    """

    tokens: Tokens | None
    pixels: np.ndarray | None


class Preparation:
    """Tokens and pixels of a post, by the same functions as in training and in ``jointune predict``.

    Args:
        scorer: whose preprocessing it is.
        limits: of pictures.

    Raises:
        MissingExtraError: the model reads the text in pictures, and what does that is not installed.
    """

    def __init__(self, scorer: Scorer, limits: Limits) -> None:
        self._scorer = scorer
        self._pictures = PictureReader(limits)
        self._ocr = ocr.load_ocr() if scorer.read_image_text else None
        self._own = threading.local()

    def __call__(self, text: str | None, picture: bytes | None) -> Prepared:
        """Prepare one post; for several threads.

        Args:
            text: its text.
            picture: the content of its picture's file.

        Raises:
            Refused: the picture cannot be used.
        """
        pixels = None if picture is None else self._pixels(picture)
        image_text = None if picture is None or self._ocr is None else self._read_text(picture, self._ocr)
        post = Post(text, image_text=image_text)
        return Prepared(encode_posts([post], self._scorer.text, self._scorer.read_image_text)[0], pixels)

    def _pixels(self, picture: bytes) -> np.ndarray:
        image = self._scorer.image
        height, width = image.resize
        return image.crop(image.prepare(self._pictures.read(picture, (width, height))))

    def _read_text(self, picture: bytes, engine: ocr.Ocr) -> str:
        if not hasattr(self._own, "reader"):
            self._own.reader = engine.make_reader()  # for one thread at a time
        text: str = self._own.reader(self._pictures.read(picture, None))
        return text
