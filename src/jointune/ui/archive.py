"""Pictures from a zip file of strangers: read by name, within limits, and never unpacked to the disk."""

import lzma
import posixpath
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

from jointune.errors import PostsError
from jointune.posts.problems import Problem

MAX_ENTRIES = 100_000
"""Of one zip file: its list is in memory."""

MAX_PICTURE_BYTES = 32 * 2**20
"""Of one picture, unpacked: a small zip file may hold gigabytes of zeros."""


class Archive:
    """The files of a zip, by the names that a table gives them; a context manager.

    Raises:
        PostsError: it is no zip file, or holds too many files.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as reason:
            raise PostsError(f"{path.name}: not a zip file that can be read: {reason}; pack the pictures anew") from (
                reason
            )
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            self._zip.close()
            raise PostsError(f"{path.name}: more than {MAX_ENTRIES:,} files; use `jointune predict` for so many")
        self._by_name = {_plain(entry.filename): entry for entry in entries if not entry.is_dir()}

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

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
        try:
            with self._zip.open(entry) as file:
                # What the zip says of a size may be a lie; no more than this is unpacked whatever it says.
                content = file.read(MAX_PICTURE_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError) as reason:
            return _problem(where, name, f"damaged in the zip file ({reason})", "pack it anew")
        if len(content) > MAX_PICTURE_BYTES:
            return _problem(where, name, f"larger than {MAX_PICTURE_BYTES // 2**20} MB", "save it smaller")
        return content


def _problem(where: str, name: str, reason: str, remedy: str) -> Problem:
    return Problem(where, name, reason, remedy, about_image=True)


def _plain(name: str) -> str:
    return posixpath.normpath(name.strip().replace("\\", "/"))
