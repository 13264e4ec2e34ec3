"""The prepared content of the posts of a training run, by modality."""

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from jointune.errors import OutputError, setting
from jointune.modalities.batch import Arrays, Preprocessor


class _Place(NamedTuple):
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class ActivationStore:
    """An array for each post, of any shape, in a file that has no name and vanishes with the store or the process."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="jointune-activations-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._places: dict[int, _Place] = {}
        self._end = 0

    def put(self, number: int, activations: np.ndarray) -> None:
        """Keep the activations of the post with this number.

        Raises:
            OutputError: the disk is full.
        """
        content = np.ascontiguousarray(activations).tobytes()
        try:
            written = os.pwrite(self._file.fileno(), content, self._end)
        except OSError as reason:
            raise _no_room(reason.strerror) from reason
        if written < len(content):
            raise _no_room("the disk is full")
        self._places[number] = _Place(self._end, activations.shape, activations.dtype)
        self._end += len(content)

    def put_all(self, numbers: Iterable[int], activations: Iterable[np.ndarray]) -> None:
        """Keep the activations of several posts, one array each; see ``put``."""
        for number, row in zip(numbers, activations, strict=True):
            self.put(number, row)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> np.ndarray:
        place = self._places[number]
        content = os.pread(self._file.fileno(), int(np.prod(place.shape)) * place.dtype.itemsize, place.offset)
        return np.frombuffer(content, place.dtype).reshape(place.shape)


def room_for(size: int) -> bool:
    """Return whether so many bytes take no more than half of the free disk."""
    return size <= shutil.disk_usage(tempfile.gettempdir()).free / 2


def _no_room(reason: str | None) -> OutputError:
    return OutputError(
        f"no room for the activations of the frozen layers in {tempfile.gettempdir()}: {reason}",
        f"free some, point TMPDIR to a larger disk, or train all layers with {setting('train_layers', None)}",
    )


class Rows:
    """The rows of N posts in one modality; None for a post that lacks it.

    Args:
        rows: one a post, as the preprocessor makes them.
        preprocessor: puts rows into arrays.

    Attributes:
        activations: of the encoder's frozen layers, by number of the post; None where they are not computed.
    """

    def __init__(self, rows: Sequence[Any], preprocessor: Preprocessor) -> None:
        self.rows, self.preprocessor = rows, preprocessor
        self.activations: ActivationStore | None = None

    @property
    def present(self) -> np.ndarray:
        """Mask of the posts that have the modality, bool [N]."""
        return np.array([row is not None for row in self.rows], dtype=bool)

    @property
    def lengths(self) -> np.ndarray:
        """The length of each row, int [N], by which batches are put together; 0 where all rows are alike."""
        return np.zeros(len(self.rows), dtype=np.int64)

    def content(self, index: int) -> bytes:
        """Return what tells the row of a post from any other that the same preprocessor makes."""
        return hashlib.sha256(self.row(index).tobytes()).digest()

    def row(self, index: int, random: np.random.Generator | None = None) -> Any:
        """Return the row of a post, augmented by ``random`` draws where there are some."""
        return self.rows[index]

    def row_without(self, index: int, row: Any, hidden: Set[str]) -> Any:
        """Return what remains of a ``row`` while modalities are ``hidden``."""
        return None if self.preprocessor.name in hidden else row

    def cacheable(self, augment: bool) -> bool:
        """Return whether the activations of a row are the same in each epoch."""
        return True

    def own_parts(self, activations: np.ndarray, inputs: Mapping[str, Any]) -> Iterable[np.ndarray]:
        """Return the activations of each post of a batch, [B, ...], without those of padding.

        Args:
            activations: of the frozen layers.
            inputs: of the encoder, as tensors.
        """
        return activations

    def collate(self, indices: Sequence[int], rows: Sequence[Any]) -> tuple[Arrays | None, np.ndarray | None]:
        """Return the inputs, or the activations, of posts that have the modality, or both where both are needed."""
        return self.preprocessor.collate(rows), None
