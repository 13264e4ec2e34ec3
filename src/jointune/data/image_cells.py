"""Cells that name images: a path, an address, bytes, an opened image, or a list of these."""

import json
import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.labels import absent
from jointune.data.post import ImageSource, RemoteImage
from jointune.data.remote import SCHEMES, beside, can_fetch, is_address
from jointune.errors import setting

_BETWEEN_ADDRESSES = re.compile(r";\s*(?=\w+://)")
"""An address may hold a semicolon itself."""


def image_entries(value: Any, folder: Path | str) -> list[Any]:
    """Return what a cell names, one entry an image: the parts of a list, or of a text that names several.

    A text names several as a JSON list or between semicolons, unless a file has the whole as its name.

    Args:
        value: the cell.
        folder: the folder or address that paths are relative to.

    Raises:
        ValueError: the text begins as a list, and is none.
    """
    if isinstance(value, np.ndarray) and (value.dtype.kind in "OU" or value.ndim == 4):
        value = list(value)
    if isinstance(value, str):
        value = _split(value.strip(), folder)
    entries = value if isinstance(value, list | tuple) else [value]
    return [entry for entry in entries if not absent(entry)]


def _split(text: str, folder: Path | str) -> list[Any]:
    is_list = text.startswith("[") and (text.endswith("]") or text[1:].lstrip().startswith('"'))
    if not (is_list or ";" in text) or (isinstance(folder, Path) and _exists(folder / text)):
        return [text]
    if not is_list:
        return _BETWEEN_ADDRESSES.split(text) if is_address(text) else text.split(";")
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise ValueError(f"it begins as a JSON list, and is none: {reason}") from reason
    return list(entries)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a NUL character
        return False


def image_source(value: Any, base: Path | str, root: Path | None, remote: bool) -> ImageSource | None:
    """Return the image that an entry names; None if it is empty.

    Args:
        value: the entry.
        base: the folder or address that paths are relative to.
        root: in its place, the folder that paths are relative to and may not leave.
        remote: whether an image that is named by its address is fetched.

    Raises:
        TypeError: the entry is of a kind that names no image.
        ValueError: it names one that may not be used.
    """
    if isinstance(value, Mapping):  # as datasets and Parquet exports store an image
        value = value.get("bytes") or value.get("path")
    if isinstance(value, np.ndarray):
        return Image.fromarray(value)
    if isinstance(value, bytes | bytearray | memoryview | Image.Image):
        return value if isinstance(value, Image.Image) else bytes(value)
    if absent(value):
        return None
    if not isinstance(value, str | Path):
        raise TypeError(f"a {type(value).__name__} where a picture's path is needed")
    if isinstance(value, str) and is_address(value):
        if not remote:
            fetched = f"only predicting with {setting('remote_images', True)} would"
            raise ValueError(f"an address, not a path, and nothing is fetched ({fetched})")
        if not can_fetch(value.strip()):
            raise ValueError(f"an address of a kind that is not fetched; {', '.join(SCHEMES)} are")
        return RemoteImage(value.strip(), redirects=True)
    if "\0" in str(value):
        raise ValueError("the path holds a NUL character")
    path = _path(value, root or base)
    if root is None:
        if isinstance(base, str):
            return RemoteImage(beside(base, str(path)), remote)
        return base / path
    inside = root / path
    try:
        leaves = not inside.resolve().is_relative_to(root.resolve())
    except RuntimeError as reason:  # Python 3.11 and 3.12 raise it
        raise ValueError("a loop of symbolic links") from reason
    if leaves:
        raise ValueError(f"leads outside {setting('image_root', str(root))}")
    return inside


def _path(value: str | Path, base: Path | str) -> Path:
    """Return a path as it is, or with its backslashes read as on Windows if no file has such a name."""
    path = Path(value.strip() if isinstance(value, str) else value)
    if "\\" in str(path) and (isinstance(base, str) or not (base / path).exists()):
        return Path(PureWindowsPath(path).as_posix())
    return path
