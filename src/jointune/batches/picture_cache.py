"""Prepared pictures kept between runs, by what they show and how they were prepared."""

import errno
import hashlib
import json
import os
import sqlite3
import zlib
from pathlib import Path

import numpy as np
import PIL

from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.store import PictureStore
from jointune.caches import PATIENCE, cache_folder, cache_limit, say_not_kept


class PictureCache(PictureStore):
    """A store of prepared pictures in a file that all runs of a user share, with an index beside it.

    A picture is known by the SHA-256 of its content. What a run has found stays readable for it, whatever others do:
    records are only ever added, and a file that is deleted stays open. A record whose checksum is not the index's, as a
    power cut leaves, counts as not there. A picture that cannot be kept is stored for this run alone.

    Args:
        folder: of all prepared pictures.
        preprocessor: how the pictures are prepared; each way has files of its own.

    Raises:
        OSError: the folder cannot be written to.
        sqlite3.Error: the index is damaged or locked for long.
    """

    def __init__(self, folder: Path, preprocessor: ImagePreprocessor) -> None:
        super().__init__((*preprocessor.resize, 3))
        how = {name: preprocessor.config()[name] for name in ("resize", "fit", "resample")}
        key = hashlib.sha256(json.dumps(how | {"pillow": PIL.__version__}).encode()).hexdigest()[:16]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's pictures may be private
        _make_room(folder, keep=key)
        self._kept = open(folder / f"{key}.u8", "a+b", buffering=0)  # noqa: SIM115
        self._index = sqlite3.connect(folder / f"{key}.sqlite", timeout=PATIENCE, isolation_level=None)
        # A power cut may lose the last records or their index; checksums tell.
        self._index.execute("PRAGMA synchronous = OFF")
        self._index.execute(
            "CREATE TABLE IF NOT EXISTS pictures (digest BLOB PRIMARY KEY, place INTEGER, checksum INTEGER)"
        )
        self._writable = True
        os.utime(folder / f"{key}.u8")

    def find(self, digest: bytes) -> int | None:
        """Where the picture with this digest is; None where it is not."""
        place = self._find_kept(digest)
        if place is None and (alone := super().find(digest)) is not None:
            return ~alone
        return place

    def append(self, pixels: np.ndarray, digest: bytes) -> int:
        """Store uint8 [H, W, 3]; its place, which is negative where the picture is not kept.

        Raises:
            OutputError: the picture cannot be kept, and the disk for temporary files is full.
        """
        if self._writable:
            try:
                return self._keep(pixels, digest)
            except (OSError, sqlite3.Error) as reason:
                self._writable = False
                say_not_kept(f"from here on, prepared pictures are not kept between runs: {reason}")
        return ~super().append(pixels, digest)

    def __getitem__(self, place: int) -> np.ndarray:
        return self._read(self._kept, place) if place >= 0 else super().__getitem__(~place)

    def _find_kept(self, digest: bytes) -> int | None:
        row = self._index.execute("SELECT place, checksum FROM pictures WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        try:
            return int(row[0]) if zlib.crc32(self._read(self._kept, row[0]).tobytes()) == row[1] else None
        except (IndexError, ValueError):  # beyond the end of the file
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
            if self._kept.write(padded) < len(padded):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Asked, not worked out beforehand: while files are deleted, a process with another index may write too.
            end, half = divmod(self._kept.tell(), len(content))
            if half:
                raise OSError("two processes wrote at once")
            values = (digest, end - 1, zlib.crc32(content))
            self._index.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", values)
        return end - 1


def open_store(preprocessor: ImagePreprocessor) -> PictureStore:
    """The cache where there can be one, and otherwise a store for this run alone, with a reason in the log."""
    try:
        return PictureCache(cache_folder() / "pictures", preprocessor)
    except (OSError, RuntimeError, sqlite3.Error) as reason:
        say_not_kept(f"prepared pictures are not kept between runs: {reason}; name another folder in JOINTUNE_CACHE")
        return PictureStore((*preprocessor.resize, 3))


def _make_room(folder: Path, keep: str) -> None:
    """Delete what was used longest ago until the rest is within the limit; the files of ``keep`` go last."""
    stores = sorted(folder.glob("*.u8"), key=lambda path: (path.stem == keep, path.stat().st_mtime))
    size = sum(path.stat().st_size for path in stores)
    for path in stores:
        if size <= cache_limit():
            return
        size -= path.stat().st_size
        path.with_suffix(".sqlite").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
