"""Texts that were read in pictures, kept between runs."""

import sqlite3
from pathlib import Path

from jointune.caches import PATIENCE, cache_folder, say_not_kept


class TextCache:
    """A small database of texts by picture, which several processes may share.

    It saves time and nothing else: one that is damaged, read-only or locked for long is said so once, and done without.

    Args:
        version: of what reads the texts; those of another version are not found.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._path = Path("~/.cache")
        self._connection: sqlite3.Connection | None = None
        self._writable = True
        try:
            self._path = cache_folder() / "image-text.sqlite"
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # people's pictures may be private
            # Whoever uses the cache sees to it that threads take turns.
            self._connection = sqlite3.connect(
                self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS texts "
                "(picture BLOB, reader TEXT, text TEXT, PRIMARY KEY (picture, reader)) WITHOUT ROWID"
            )
        except (OSError, RuntimeError, sqlite3.Error) as reason:
            self.close()
            _say(self._path, reason)

    def get(self, picture: bytes) -> str | None:
        """The text of the picture with this digest; None where it is not known."""
        if self._connection is None:
            return None
        query = "SELECT text FROM texts WHERE picture = ? AND reader = ?"
        try:
            row = self._connection.execute(query, (picture, self._version)).fetchone()
        except sqlite3.Error as reason:
            self.close()
            _say(self._path, reason)
            return None
        return row[0] if row and isinstance(row[0], str) else None

    def put(self, picture: bytes, text: str) -> None:
        """Keep the text of the picture with this digest."""
        if self._connection is None or not self._writable:
            return
        try:
            self._connection.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", (picture, self._version, text))
        except sqlite3.Error as reason:
            self._writable = False
            _say(self._path, reason)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _say(path: Path, reason: Exception) -> None:
    say_not_kept(
        f"texts read in pictures are not kept in {path}: {reason}; delete it, or name a folder in JOINTUNE_CACHE"
    )
