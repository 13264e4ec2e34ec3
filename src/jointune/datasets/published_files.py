"""Read the files of a published set, whatever the case of their names, and never outside its folder."""

import os
import warnings
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath

from jointune.data.problems import Problem
from jointune.data.tables.encoding import Detected, decode_utf8, detect_encoding, marked_encoding
from jointune.errors import JointuneWarning, PostsError, setting


class SetFolder:
    """The folder of a set. Each folder in it is listed once, which is faster than asking for each file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[PurePosixPath, dict[str, Path]] = {}

    def find(self, name: str) -> Path | None:
        """Return the file of a relative path, or the one that differs only in case; None if there is none inside.

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
        """Return the file of this name, or raise a ``PostsError``."""
        file = self.find(name)
        if file is None:
            raise PostsError(f"{self.root}: there is no {name} in it", f"give the folder that holds {name}")
        return file


def find_encodings(paths: Iterable[Path], encoding: str | None = None, known: str | None = None) -> dict[Path, str]:
    """Return the encoding of each file: UTF-8, or the one that all the others are in.

    Args:
        paths: the files; their encoding is detected over all of them, since one alone is too short.
        encoding: of those that are not UTF-8, if the user names it.
        known: the encoding that the set is known to have.

    Raises:
        PostsError: a file is not readable, or the encoding cannot be detected.
    """
    encodings: dict[Path, str] = {}
    others: dict[Path, bytes] = {}
    for path in paths:
        content = _read(path)
        encodings[path] = marked_encoding(content) or "utf-8"
        if decode_utf8(content) is None:
            others[path] = content
    if not others:
        return encodings
    if encoding is None:
        detected = detect_encoding(list(others.values()), known)
        if detected.encoding is None:
            raise _undecided(others, detected)
        encoding = detected.encoding
        guess = f"a guess: {setting('encoding')} names another one"
        source = "which the set is known to have" if encoding == known else guess
        warnings.warn(
            f"{len(others):,} of {len(encodings):,} text files are not UTF-8 and were read as {encoding} ({source}):"
            + _examples(others, encoding),
            JointuneWarning,
            stacklevel=2,
        )
    return encodings | dict.fromkeys(others, encoding)


def read_text(path: Path, encoding: str, where: str) -> tuple[str | None, Problem | None]:
    """Return the text of a file, stripped, or None if it is empty; and the problem if it cannot be decoded.

    Raises:
        PostsError: the file is not readable.
    """
    try:
        return _read(path).decode(encoding).strip() or None, None
    except UnicodeDecodeError as reason:
        skip = setting("on_missing", "skip")
        remedy = f"save it as UTF-8, name its encoding with {setting('encoding')}, or use {skip}"
        return None, Problem(where, str(path), f"neither UTF-8 nor {encoding} ({reason.reason})", remedy)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as reason:
        raise _unreadable(path, reason) from reason


def _undecided(contents: Mapping[Path, bytes], detected: Detected) -> PostsError:
    path, content = next(iter(contents.items()))
    readings = "".join(_examples({path: content}, encoding) + f" in {encoding}" for encoding in detected.candidates)
    return PostsError(
        f"{path}: not UTF-8, like {len(contents):,} text files in all, and their encoding cannot be told: "
        f"{detected.reason}",
        f"save them as UTF-8, or name their encoding ({setting('encoding')}){readings and ':'}{readings}",
    )


def _examples(contents: Mapping[Path, bytes], encoding: str) -> str:
    lines = []
    for path, content in islice(contents.items(), 3):
        text = " ".join(content.decode(encoding, "replace").split())
        place = next((place for place, character in enumerate(text) if not character.isascii()), 0)
        lines.append(f"\n  {path.parent.name}/{path.name}: {text[max(0, place - 30) : place + 30]}")
    return "".join(lines)


def _files(folder: Path) -> dict[str, Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL character in a name
        return {}
    except OSError as reason:
        raise _unreadable(folder, reason) from reason
    # A name as it is written comes before one that differs in case.
    return {name.casefold(): folder / name for name in reversed(names)} | {name: folder / name for name in names}


def _unreadable(path: Path, reason: OSError) -> PostsError:
    return PostsError(f"{path}: not readable: {reason.strerror}", "correct its permissions")
