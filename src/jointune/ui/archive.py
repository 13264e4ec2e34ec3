"""Pictures from a zip file of strangers: read by name, within limits, and never unpacked to the disk."""

import io
import posixpath
import zipfile
from pathlib import Path
from types import TracebackType

from jointune.data.problems import Problem
from jointune.errors import PostsError, first_line

MAX_ENTRIES = 100_000
"""Of one zip file: its list is in memory."""

MAX_PICTURE_BYTES = 32 * 2**20
"""Of one picture, unpacked: a small zip file may hold gigabytes of zeros."""


_MOST_LIST_BYTES = 32 * 2**20
"""Of the list of files: it would take far more in memory."""

_MOST_UNPACKED_BYTES = 8 * 2**30
"""Of all pictures together, as often as the table names each."""


class _Zip(io.FileIO):
    """A zip file that is read in no larger pieces than its list of files may have."""

    def read(self, size: int | None = -1, /) -> bytes | None:  # type: ignore[override]
        if size is not None and size > _MOST_LIST_BYTES:
            raise ValueError("its list of files is too long")
        return super().read(-1 if size is None else size)


class Archive:
    """The files of a zip, by the names that a table gives them; a context manager.

    Raises:
        PostsError: it is no zip file, or holds too many files.
    """

    def __init__(self, path: Path) -> None:
        self._file = _Zip(path)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except Exception as reason:  # damaged bytes make it raise nearly anything
            self._file.close()
            raise PostsError(
                f"{path.name}: not a zip file that can be read: {first_line(reason)}", "pack the pictures anew"
            ) from reason
        self._unpacked = 0
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            self.close()
            raise PostsError(f"{path.name}: more than {MAX_ENTRIES:,} files", "use `jointune predict` for so many")
        self._by_name = {_plain(entry.filename): entry for entry in entries if not entry.is_dir()}

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()
        self._file.close()

    def read(self, name: str, where: str) -> bytes | Problem:
        """The content of a file, or why it cannot be had.

        Args:
            name: its path in the zip, as the table says it.
            where: the row, for the message.
        """
        entry = self._by_name.get(_plain(name))
        if entry is None:
            return _problem(where, name, "not in the zip file", "add it, or correct the path")
        if entry.flag_bits & 0x1:
            return _problem(where, name, "encrypted", "pack it without a password")
        if self._unpacked > _MOST_UNPACKED_BYTES:
            reason = f"the pictures before it have more than {_MOST_UNPACKED_BYTES // 2**30} GB, unpacked"
            return _problem(where, name, reason, "use `jointune predict` for so many")
        try:
            with self._zip.open(entry) as file:
                # What the zip says of a size may be a lie; no more than this is unpacked whatever it says.
                content = file.read(MAX_PICTURE_BYTES + 1)
        except Exception as reason:  # as above
            return _problem(where, name, f"damaged in the zip file ({first_line(reason)})", "pack it anew")
        self._unpacked += len(content)
        if len(content) > MAX_PICTURE_BYTES:
            return _problem(where, name, f"larger than {MAX_PICTURE_BYTES // 2**20} MB", "save it smaller")
        return content


def _problem(where: str, name: str, reason: str, remedy: str) -> Problem:
    return Problem(where, name, reason, remedy, about_image=True)


def _plain(name: str) -> str:
    return posixpath.normpath(name.strip().replace("\\", "/"))
