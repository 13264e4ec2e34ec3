"""States of the encoders' frozen layers, computed once for each post."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from jointune.errors import OutputError, setting


class _Row(NamedTuple):
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class StateStore:
    """An array for each post, of any shape, in a file that has no name and vanishes with the store or the process."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="jointune-states-", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._rows: dict[int, _Row] = {}
        self._end = 0

    def put(self, number: int, states: np.ndarray) -> None:
        """Keep the states of the post with this number.

        Raises:
            OutputError: the disk is full.
        """
        content = np.ascontiguousarray(states).tobytes()
        try:
            written = os.pwrite(self._file.fileno(), content, self._end)
        except OSError as reason:
            raise _no_room(reason.strerror) from reason
        if written < len(content):
            raise _no_room("the disk is full")
        self._rows[number] = _Row(self._end, states.shape, states.dtype)
        self._end += len(content)

    def put_all(self, numbers: Iterable[int], states: np.ndarray) -> None:
        """Keep those of several posts, [B, ...]; see ``put``."""
        for number, row in zip(numbers, states, strict=True):
            self.put(number, row)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> np.ndarray:
        row = self._rows[number]
        content = os.pread(self._file.fileno(), int(np.prod(row.shape)) * row.dtype.itemsize, row.offset)
        return np.frombuffer(content, row.dtype).reshape(row.shape)


def room_for(size: int) -> bool:
    """Whether so many bytes take no more than half of the disk that is free."""
    return size <= shutil.disk_usage(tempfile.gettempdir()).free / 2


def _no_room(reason: str | None) -> OutputError:
    return OutputError(
        f"no room for the states of the frozen layers in {tempfile.gettempdir()}: {reason}; free some, point TMPDIR to "
        f"a larger disk, or train all layers with {setting('train_layers', None)}"
    )
