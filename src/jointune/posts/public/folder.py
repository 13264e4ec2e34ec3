"""The files of a published set: found whatever the case of their names, and never outside its folder."""

import os
from pathlib import Path, PurePosixPath

from jointune.errors import PostsError


class SetFolder:
    """The folder of a set. Each folder in it is listed once, which is faster than asking for each file.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[PurePosixPath, dict[str, Path]] = {}

    def find(self, name: str) -> Path | None:
        """The file called ``name``, or the one that differs only in case; ``None`` where there is none.

        Args:
            name: relative to the folder, with slashes; a name that leads out of the folder finds nothing.

        Raises:
            PostsError: the folder that the file would be in is not readable.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            return None
        if path.parent not in self._listed:
            self._listed[path.parent] = _files(self.root / path.parent)
        files = self._listed[path.parent]
        return files.get(path.name) or files.get(path.name.casefold())

    def require(self, name: str) -> Path:
        """The file called ``name``.

        Raises:
            PostsError: there is none.
        """
        found = self.find(name)
        if found is None:
            raise PostsError(f"{self.root}: there is no {name} in it; give the folder that holds {name}")
        return found


def read_text(path: Path) -> tuple[str, bool]:
    """The text of a file, and whether it is UTF-8; Latin-1, which every file is, otherwise.

    Raises:
        PostsError: the file is not readable.
    """
    try:
        content = path.read_bytes()
    except OSError as reason:
        raise _unreadable(path, reason) from reason
    try:
        return content.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return content.decode("latin-1"), False


def _files(folder: Path) -> dict[str, Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a NUL character in a name
        return {}
    except OSError as reason:
        raise _unreadable(folder, reason) from reason
    # A name as it is written comes before one that differs in case.
    return {name.casefold(): folder / name for name in reversed(names)} | {name: folder / name for name in names}


def _unreadable(path: Path, reason: OSError) -> PostsError:
    return PostsError(f"{path}: not readable: {reason.strerror}; correct its permissions")
