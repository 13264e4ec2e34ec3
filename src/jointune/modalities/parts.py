"""The parts of a row that can be removed, to see how much each of them counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Parts:
    """The row of one post in one modality as P parts, such as words or regions of an image.

    Attributes:
        kind: what a part is called, such as ``word``.
        names: of each part.
        index: the number of the part that each place of the row belongs to, int: of tokens [L], or of pixels [I, H, W];
            -1 for places that are never removed.
        remove: returns the row without the parts of a mask, bool [P]; None where nothing is left of it.
        places: of each part for drawings: segment, start and end of a word; image, top, left, bottom and right of a
            region.
        texts: the segments that words are from, as the model reads them.
    """

    kind: str
    names: Sequence[str]
    index: np.ndarray
    remove: Callable[[np.ndarray], Any]
    places: Sequence[tuple[int, ...]] = ()
    texts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Add up values of places, of the shape of ``index``, for each part, float [P]."""
        inside = self.index >= 0
        return np.bincount(self.index[inside], weights=values[inside], minlength=len(self))


def whole(name: str) -> Parts:
    """Return a row as a single part."""
    return Parts(name, [name], np.zeros(1, dtype=int), lambda _: None)
