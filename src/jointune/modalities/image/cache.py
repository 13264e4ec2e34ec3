"""Prepared pictures kept between runs, by what they show and how they were prepared."""

import errno
import hashlib
import json
import os
import sqlite3
import weakref
import zlib
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import PIL

from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.image.store import ImageStore
from jointune.utils.cache_dir import PATIENCE, cache_folder, cache_limit, say_not_kept


class ImageCache(ImageStore):
    """A store of prepared pictures in a file that all runs of a user share, with an index beside it.

    A picture is known by the SHA-256 of its content. What a run has found stays readable for it, whatever others do:
    records are only ever added, and a file that is deleted stays open. A record whose checksum is not the index's, as a
    power cut leaves, counts as not there; files whose index is damaged are begun anew. A picture that cannot be kept is
    stored for this run alone.

    Args:
        folder: of all prepared pictures.
        preprocessor: how the pictures are prepared; each way has files of its own.

    Raises:
        OSError: the folder cannot be written to.
        sqlite3.Error: the index is locked for long, or cannot be opened.
    """

    def __init__(self, folder: Path, preprocessor: ImagePreprocessor) -> None:
        super().__init__((*preprocessor.resize, 3))
        how = {name: preprocessor.config()[name] for name in ("resize", "fit", "resample")}
        key = hashlib.sha256(json.dumps(how | {"pillow": PIL.__version__}).encode()).hexdigest()[:16]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's pictures may be private
        pictures, index = folder / f"{key}.u8", folder / f"{key}.sqlite"
        if _damaged(index):
            _delete(pictures)
        _make_room(pictures)
        self._kept = open(pictures, "a+b", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._kept.close)
        # Whichever thread drops the cache closes it.
        self._index = sqlite3.connect(index, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._index.close)
        # A power cut may lose the last records or their index; checksums tell.
        self._index.execute("PRAGMA synchronous = OFF")
        self._index.execute(
            "CREATE TABLE IF NOT EXISTS pictures (digest BLOB PRIMARY KEY, place INTEGER, checksum INTEGER)"
        )
        self._readable = self._writable = True
        os.utime(pictures)

    def find(self, digest: bytes) -> int | None:
        """Return the place of the image with this digest; None if it is not there."""
        if self._readable:
            try:
                if (place := self._find_kept(digest)) is not None:
                    return place
            except sqlite3.Error as reason:
                self._readable = False
                self._keep_no_more(reason)
        alone = super().find(digest)
        return None if alone is None else ~alone

    def append(self, pixels: np.ndarray, digest: bytes) -> int:
        """Store uint8 [H, W, 3]; its place, which is negative where the picture is not kept.

        Raises:
            OutputError: the picture cannot be kept, and the disk for temporary files is full.
        """
        if self._writable:
            try:
                return self._keep(pixels, digest)
            except (OSError, sqlite3.Error) as reason:
                self._keep_no_more(reason)
        return ~super().append(pixels, digest)

    def __getitem__(self, place: int) -> np.ndarray:
        return self._read(self._kept, place) if place >= 0 else super().__getitem__(~place)

    def _find_kept(self, digest: bytes) -> int | None:
        row = self._index.execute("SELECT place, checksum FROM pictures WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        try:
            return int(row[0]) if zlib.crc32(self._read(self._kept, row[0]).tobytes()) == row[1] else None
        except (IndexError, OSError, OverflowError, TypeError):  # beyond the end of the file, or no place at all
            return None

    def _keep(self, pixels: np.ndarray, digest: bytes) -> int:
        if not os.fstat(self._kept.fileno()).st_nlink:
            raise FileNotFoundError("they were deleted meanwhile")
        content = np.ascontiguousarray(pixels).tobytes()
        with self._index:
            # One process writes at a time; the others see a record when it is whole.
            self._index.execute("BEGIN IMMEDIATE")
            half = self._kept.seek(0, os.SEEK_END) % len(content)  # a record that a full disk cut short
            padded = bytes(-half % len(content)) + content
            if not _make_room(Path(self._kept.name), len(padded)):
                raise OSError("JOINTUNE_CACHE_GIB is full; raise it, or start afresh: see `jointune cache`")
            if self._kept.write(padded) < len(padded):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Asked, not worked out beforehand: while files are deleted, a process with another index may write too.
            end, half = divmod(self._kept.tell(), len(content))
            if half:
                raise OSError("two processes wrote at once")
            values = (digest, end - 1, zlib.crc32(content))
            self._index.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", values)
        return end - 1

    def _keep_no_more(self, reason: Exception) -> None:
        self._writable = False
        say_not_kept(f"from here on, prepared pictures are not kept between runs: {reason}")


def open_store(preprocessor: ImagePreprocessor) -> ImageStore:
    """Return the cache where there can be one, and otherwise a store for this run alone, with a reason in the log."""
    try:
        return ImageCache(cache_folder() / "pictures", preprocessor)
    except (OSError, RuntimeError, sqlite3.Error) as reason:
        say_not_kept(f"prepared pictures are not kept between runs: {reason}; name another folder in JOINTUNE_CACHE")
        return ImageStore((*preprocessor.resize, 3))


def _make_room(pictures: Path, wanted: int = 0) -> bool:
    """Delete other files than ``pictures``, longest unused first, until ``wanted`` more bytes fit; whether they do."""
    stores = {}
    for path in pictures.parent.glob("*.u8"):
        with suppress(FileNotFoundError):  # another process makes room too
            stores[path] = path.stat()
    above = sum(store.st_size for store in stores.values()) + wanted - cache_limit()
    stores.pop(pictures, None)
    for path in sorted(stores, key=lambda path: stores[path].st_mtime):
        if above <= 0:
            break
        _delete(path)
        above -= stores[path].st_size
    return above <= 0


def _damaged(index: Path) -> bool:
    try:
        with closing(sqlite3.connect(index, timeout=PATIENCE)) as connection:
            return connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
    except sqlite3.Error as reason:
        if reason.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return True
        raise


def _delete(pictures: Path) -> None:
    pictures.with_suffix(".sqlite").unlink(missing_ok=True)
    pictures.unlink(missing_ok=True)
