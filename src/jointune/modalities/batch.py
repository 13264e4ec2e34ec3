"""One batch as NumPy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jointune.modalities.text.tokens import TextPreprocessor, Tokens


@dataclass(frozen=True)
class Batch:
    """B posts, of which Bt have a text and Bi a picture; only those take room and arithmetic.

    Attributes:
        indices: which posts these are, int64 [B].
        present: which have a text and which a picture, bool [B, 2].
        text: ``input_ids`` and the like, int64 [Bt, L]; None where no post has a text.
        pixels: uint8 [Bi, H, W, 3]; None where no post has a picture, and where ``image_below`` is known.
        labels: class numbers, int64 [B]; None where they are not known.
        text_below: the texts' states at the boundary of the text encoder's trained layers, float32 or the bits of
            bfloat16 as int16, [Bt, L, ...]; None where they are not known.
        image_below: likewise the pictures', [Bi, ...].
    """

    indices: np.ndarray
    present: np.ndarray
    text: dict[str, np.ndarray] | None
    pixels: np.ndarray | None
    labels: np.ndarray | None = None
    text_below: np.ndarray | None = None
    image_below: np.ndarray | None = None


def collate(
    indices: Sequence[int] | np.ndarray,
    tokens: Sequence[Tokens | None],
    pixels: Sequence[np.ndarray | None],
    text: TextPreprocessor,
    labels: np.ndarray | None = None,
) -> Batch:
    """Put posts together; ``None`` in ``tokens`` or ``pixels`` is a post without."""
    with_text = [row for row in tokens if row is not None]
    with_image = [picture for picture in pixels if picture is not None]
    return Batch(
        np.asarray(indices, dtype=np.int64),
        np.array([[row is not None, picture is not None] for row, picture in zip(tokens, pixels, strict=True)]),
        text.pad(with_text) if with_text else None,
        np.stack(with_image) if with_image else None,
        labels,
    )
