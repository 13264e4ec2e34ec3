"""The only module that talks to the OCR package: the text in a picture, in reading order."""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jointune.errors import MissingExtraError
from jointune.utils.extras import check_installed, require

MIN_CONFIDENCE = 0.8
"""Pieces of text that the OCR is less sure of are left out. Of 160 pictures of MVSA-Single, 4 of the 83 pieces below
this hold words that the default text encoder knows, and 129 of the 294 above."""

_RULES = 1
"""Raised when this module makes another text of the same picture: texts in the cache are then read anew."""

_LONGEST = 2000
_NARROWEST = 4
"""The OCR is given at most 2000 pixels a side, and no side below a quarter of the other: it scales by the shorter one,
and would need gigabytes for a long strip."""

_PACKAGE, _PURPOSE = "rapidocr_onnxruntime", "reading the text in pictures"

Reader = Callable[[Image.Image], str]
"""An RGB picture to the text in it, empty where there is none."""


class Ocr(NamedTuple):
    """An OCR package.

    Attributes:
        version: its name and version; texts read by another may differ.
        make_reader: makes a reader, which is for one thread at a time.
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
    """See that the OCR is installed, without loading it.

    Raises:
        MissingExtraError: it is not.
    """
    check_installed(_PACKAGE, "ocr", _PURPOSE)


def load_ocr() -> Ocr:
    """The OCR, which is RapidOCR with PP-OCRv4: Latin and Chinese script, with its models in its package.

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
        # One thread each: several pictures at a time are faster than several threads on one.
        engine = package.RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
        return lambda picture: _read(engine, picture)

    return Ocr(f"rapidocr-onnxruntime {version('rapidocr-onnxruntime')}, rules {_RULES}", make_reader)


def in_reading_order(pieces: Iterable[Piece]) -> str:
    """The texts of ``pieces``, line by line from the top, each line from the left."""
    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=_middle):
        # A piece is on the line whose first piece its middle lies beside: boxes of one line rarely have the same top.
        if lines and lines[-1][0].top <= _middle(piece) <= lines[-1][0].bottom:
            lines[-1].append(piece)
        else:
            lines.append([piece])
    return " ".join(piece.text for line in lines for piece in sorted(line, key=lambda piece: piece.left))


def fitted(picture: Image.Image) -> Image.Image:
    """What a reader looks at: a picture reduced and padded to what the OCR takes. A second time changes nothing."""
    if max(picture.size) > _LONGEST:
        picture = picture.copy()
        picture.thumbnail((_LONGEST, _LONGEST))
    least = -(-max(picture.size) // _NARROWEST)
    if min(picture.size) >= least:
        return picture
    ground = Image.new("RGB", (max(picture.width, least), max(picture.height, least)), "white")
    ground.paste(picture)
    return ground


def _middle(piece: Piece) -> float:
    return (piece.top + piece.bottom) / 2


def _read(engine: Any, picture: Image.Image) -> str:
    blue_first = np.ascontiguousarray(np.asarray(fitted(picture))[:, :, ::-1])
    # Pictures are upright already, and asked whether they are, the OCR turns short words over: "good" becomes "poo6".
    found, _ = engine(blue_first, use_cls=False)
    pieces = []
    for corners, text, confidence in found or []:
        if float(confidence) >= MIN_CONFIDENCE:
            across, down = zip(*corners, strict=True)
            pieces.append(Piece(text, min(across), min(down), max(across), max(down)))
    return in_reading_order(pieces)
