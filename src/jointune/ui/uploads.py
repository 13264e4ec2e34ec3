"""Files that people upload: only those of one folder are read, and of a zip only images, by name and within limits."""

import io
import logging
import posixpath
import zipfile
from pathlib import Path
from typing import Self

from jointune.data.problems import Problem
from jointune.errors import PostsError, first_line

MAX_ENTRIES = 100_000  # files in one zip: their list is in memory
MAX_IMAGE_BYTES = 32 * 2**20  # bytes of one image, unpacked: a small zip file may hold gigabytes of zeros
_MAX_LIST_BYTES = 32 * 2**20  # bytes of the zip's list of files, which takes far more in memory
_MAX_UNPACKED_BYTES = 8 * 2**30  # bytes of all images together, as often as the table names each

_logger = logging.getLogger(__name__)


def uploaded(path: str | Path, folder: Path) -> Path:
    """Return the path of a file that was uploaded, or is an example.

    Raises:
        PostsError: it lies elsewhere, which only a request that no page makes can bring about.
    """
    file = Path(path).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise PostsError("this file was not uploaded", "choose it once more")
    return file


class _ZipFile(io.FileIO):
    """A file that is read in no larger pieces than a zip's list of files may have."""

    def read(self, size: int | None = -1, /) -> bytes | None:  # type: ignore[override]
        if size is not None and size > _MAX_LIST_BYTES:
            raise ValueError("its list of files is too long")
        return super().read(-1 if size is None else size)


class Archive:
    """Reads images from a zip file by the names that a table uses; a context manager. Nothing is unpacked to the disk.

    Args:
        path: of the zip file.
        max_entries: files that it may hold.
        max_image_bytes: bytes of one image, unpacked.

    Raises:
        PostsError: it is no zip file, or holds too many files.
    """

    def __init__(self, path: Path, max_entries: int = MAX_ENTRIES, max_image_bytes: int = MAX_IMAGE_BYTES) -> None:
        self._file, self._max_image_bytes, self._unpacked = _ZipFile(path), max_image_bytes, 0
        try:
            self._zip = zipfile.ZipFile(self._file)
        except Exception as error:  # zipfile raises nearly anything on damaged bytes
            self._file.close()
            reason = f"{path.name}: not a zip file that can be read: {first_line(error)}"
            raise PostsError(reason, "pack the pictures anew") from error
        entries = self._zip.infolist()
        if len(entries) > max_entries:
            self.__exit__()
            raise PostsError(f"{path.name}: more than {max_entries:,} files", "use `jointune predict` for so many")
        self._entries = {_normalised(entry.filename): entry for entry in entries if not entry.is_dir()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    def read(self, name: str, where: str) -> bytes | Problem:
        """Return the content of a file, or why it cannot be used.

        Args:
            name: its path in the zip, as the table says it.
            where: the row, for the message.
        """
        entry = self._entries.get(_normalised(name))
        if entry is None:
            return _problem(where, name, "not in the zip file", "add it, or correct the path")
        if entry.flag_bits & 0x1:
            return _problem(where, name, "encrypted", "pack it without a password")
        if self._unpacked > _MAX_UNPACKED_BYTES:
            reason = f"the pictures before it have more than {_MAX_UNPACKED_BYTES // 2**30} GB, unpacked"
            return _problem(where, name, reason, "use `jointune predict` for so many")
        try:
            with self._zip.open(entry) as file:
                content = file.read(self._max_image_bytes + 1)  # the size that the zip states may be a lie
        except Exception as error:  # as above
            _logger.info("an image in a zip file cannot be read", exc_info=error)
            return _problem(where, name, f"damaged in the zip file ({first_line(error)})", "pack it anew")
        self._unpacked += len(content)
        if len(content) > self._max_image_bytes:
            return _problem(where, name, f"larger than {self._max_image_bytes // 2**20} MB", "save it smaller")
        return content


def _problem(where: str, name: str, reason: str, remedy: str) -> Problem:
    return Problem(where, name, reason, remedy, about_image=True)


def _normalised(name: str) -> str:
    return posixpath.normpath(name.strip().replace("\\", "/"))
