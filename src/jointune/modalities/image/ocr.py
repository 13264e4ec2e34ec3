"""Read the text in an image, in reading order; the only module that uses the OCR package."""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jointune.errors import MissingExtraError
from jointune.utils.extras import check_installed, require

MIN_CONFIDENCE = 0.8
"""Pieces of text of a lower confidence are left out. Of 160 images of MVSA-Single, 4 of the 83 pieces with less hold
words that the default text encoder knows, and 129 of the 294 others."""

_RULES = 1
"""Raised when this module makes another text of the same image: cached texts are then read anew."""

_LONGEST = 2000
_NARROWEST = 4
"""The OCR gets at most 2000 pixels a side, and no side below a quarter of the other: it scales by the shorter one, and
would need gigabytes for a long strip."""

_PACKAGE, _PURPOSE = "rapidocr_onnxruntime", "reading the text in pictures"

Reader = Callable[[Image.Image], str]
"""Returns the text in an RGB image, empty if there is none."""


class Ocr(NamedTuple):
    """An OCR package.

    Attributes:
        version: its name and version; texts read by another may differ.
        make_reader: makes a reader, which only one thread may use at a time.
    """

    version: str
    make_reader: Callable[[], Reader]


class Piece(NamedTuple):
    """A piece of text and the box around it, in pixels from the top left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def check_ocr() -> None:
    """Check that the OCR is installed, without loading it.

    Raises:
        MissingExtraError: it is not.
    """
    check_installed(_PACKAGE, "ocr", _PURPOSE)


def load_ocr() -> Ocr:
    """Load RapidOCR with PP-OCRv4: Latin and Chinese script, with its models in its package.

    Raises:
        MissingExtraError: it is not installed, or lacks a system library.
    """
    try:
        package = require(_PACKAGE, "ocr", _PURPOSE)
    except MissingExtraError:
        raise
    except ImportError as reason:  # OpenCV's package needs libraries of the system, which small containers lack
        raise MissingExtraError(
            f"{_PURPOSE} needs the package {_PACKAGE}, which cannot be loaded: {reason}",
            "apt-get install libgl1 libglib2.0-0, or what brings it on your system",
        ) from reason

    def make_reader() -> Reader:
        # One thread each: several images at a time are faster than several threads on one.
        engine = package.RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
        return lambda image: read_pieces(engine, image)

    return Ocr(f"rapidocr-onnxruntime {version('rapidocr-onnxruntime')}, rules {_RULES}", make_reader)


def read_pieces(engine: Any, image: Image.Image) -> str:
    """Return the text of the confident pieces that an engine of RapidOCR reads in an image."""
    bgr = np.ascontiguousarray(np.asarray(fitted(image))[:, :, ::-1])
    # Images are upright already; with its own check, the OCR would turn short words over: "good" becomes "poo6".
    results, _ = engine(bgr, use_cls=False)
    pieces = []
    for corners, text, confidence in results or []:
        if float(confidence) >= MIN_CONFIDENCE:
            across, down = zip(*corners, strict=True)
            pieces.append(Piece(text, min(across), min(down), max(across), max(down)))
    return in_reading_order(pieces)


def read_frames(read: Reader, frames: Iterable[Image.Image]) -> str:
    """Return the text in the frames of a moving image, or in an image; what several frames show, once."""
    return "\n".join(filter(None, dict.fromkeys(map(read, frames))))


def in_reading_order(pieces: Iterable[Piece]) -> str:
    """Join the texts of ``pieces``, line by line from the top, each line from the left."""

    def middle(piece: Piece) -> float:
        return (piece.top + piece.bottom) / 2

    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=middle):
        # Boxes of one line rarely have the same top, so the middle has to lie beside the line's first piece.
        if lines and lines[-1][0].top <= middle(piece) <= lines[-1][0].bottom:
            lines[-1].append(piece)
        else:
            lines.append([piece])
    return " ".join(piece.text for line in lines for piece in sorted(line, key=lambda piece: piece.left))


def fitted(image: Image.Image) -> Image.Image:
    """Reduce and pad an image to a size that the OCR takes; idempotent."""
    if max(image.size) > _LONGEST:
        image = image.copy()
        image.thumbnail((_LONGEST, _LONGEST))
    least = -(-max(image.size) // _NARROWEST)
    if min(image.size) >= least:
        return image
    ground = Image.new("RGB", (max(image.width, least), max(image.height, least)), "white")
    ground.paste(image)
    return ground
