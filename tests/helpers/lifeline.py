"""Wait for another process to begin and to end, without asking again and again."""

import os
import select
from pathlib import Path


class Lifeline:
    """A named pipe that another process opens when it begins, and that the system closes when it ends."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def begun(self, seconds: float = 300) -> bool:
        """Wait until a process has written a line."""
        return self._read(seconds).endswith(b"\n")

    def ended(self, seconds: float = 60) -> bool:
        """Wait until no process holds the pipe any more."""
        return self._read(seconds) == b""

    def _read(self, seconds: float) -> bytes:
        readable, _, _ = select.select([self._handle], [], [], seconds)
        return os.read(self._handle, 100) if readable else b"nothing happened in time"

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._handle)
