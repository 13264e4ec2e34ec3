"""Read the bytes of an image's file, and compute the digest that identifies an image."""

import hashlib
import logging
import stat
from functools import lru_cache
from pathlib import Path

from PIL import ExifTags, Image

from jointune.data.post import ImageSource, RemoteImage
from jointune.data.remote import FetchError, fetch

logger = logging.getLogger(__name__)

MOST_FILE_BYTES = 2**28
"""The largest file that is read: files are in memory as a whole, several at a time."""


class ImageError(Exception):
    """An image that cannot be used.

    Attributes:
        file: the image's name for messages.
        reason: what is wrong with it.
        remedy: what to do about it.
    """

    def __init__(self, file: str, reason: str, remedy: str) -> None:
        super().__init__(f"{file}: {reason}; {remedy}")
        self.file = file
        self.reason = reason
        self.remedy = remedy


def image_name(source: ImageSource, what: str = "picture") -> str:
    """Return the name of an image, or of ``what`` a file holds, in messages."""
    if isinstance(source, Path | RemoteImage):
        return str(source)
    return f"{what} bytes" if isinstance(source, bytes) else getattr(source, "filename", "") or "opened picture"


def damaged(file: str, reason: Exception) -> ImageError:
    """Return the error for an image whose content cannot be decoded."""
    return ImageError(file, f"damaged or cut off ({reason})", "restore the file or remove the row")


def image_digest(source: ImageSource) -> bytes:
    """Return the SHA-256 that identifies an image: of its file, or of the pixels of an opened image.

    A file is hashed once in a process, as long as its size and its time of modification stay the same.

    Raises:
        ImageError: the file is missing, empty or not readable.
    """
    if isinstance(source, Path):
        try:
            about = source.stat()
        except (OSError, ValueError):
            return hashlib.sha256(image_bytes(source)).digest()  # raises, with the reason
        return _file_digest(source, (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns))
    if not isinstance(source, Image.Image):
        return hashlib.sha256(image_bytes(source)).digest()
    try:
        pixels = source.tobytes()
        # Pixels mean nothing without palette, transparency and orientation.
        palette = source.palette.tobytes() if source.palette else b""
        header = (source.mode, source.size, palette, source.info.get("transparency"), orientation(source))
    except Exception as reason:  # an opened file is decoded only now
        raise damaged(image_name(source), reason) from reason
    return hashlib.sha256(repr(header).encode() + pixels).digest()


@lru_cache(maxsize=2**18)
def _file_digest(path: Path, _version: tuple[int, ...]) -> bytes:
    return hashlib.sha256(image_bytes(path)).digest()


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the pixels are good even if the EXIF is not readable
        logger.debug("unreadable EXIF in %s", image_name(image))
        return 1


def image_bytes(source: Path | bytes | RemoteImage, what: str = "picture") -> bytes:
    """Read the file of an image, or of ``what`` else it holds.

    Raises:
        ImageError: it is missing, empty, too large or not readable.
        MissingExtraError: the package that fetches it is not installed.
    """
    file = image_name(source, what)
    try:
        if isinstance(source, RemoteImage):
            content = fetch(source.address, source.redirects)
        else:
            content = source if isinstance(source, bytes) else _read(source)
    except FetchError as error:
        raise ImageError(file, error.reason, error.remedy) from error
    except FileNotFoundError as reason:
        remedy = f"correct the path or leave the {what} empty"
        if isinstance(source, Path) and (other := _in_another_case(source)) is not None:
            remedy = f"there is {other} in its folder, which differs in case: correct the path"
        raise ImageError(file, "no such file", remedy) from reason
    except IsADirectoryError as reason:
        raise ImageError(file, f"a folder, not a {what}", f"name a file or leave the {what} empty") from reason
    except (OSError, ValueError) as reason:
        why = getattr(reason, "strerror", None) or reason
        raise ImageError(file, f"not readable: {why}", "correct the path or its permissions") from reason
    if not content:
        raise ImageError(file, "an empty file of 0 bytes", "restore the file or remove the row")
    return content


def _read(path: Path) -> bytes:
    about = path.stat()
    if stat.S_ISREG(about.st_mode):
        if not about.st_size:
            return b""  # some files that the system makes up have this size, and never end
        if about.st_size > MOST_FILE_BYTES:
            raise ValueError(f"larger than {MOST_FILE_BYTES // 2**20} MiB")
    elif not stat.S_ISDIR(about.st_mode):
        raise ValueError("a device or a pipe, not a file")  # reading it might never end
    with open(path, "rb") as file:
        return file.read(about.st_size + 1)


def _in_another_case(path: Path) -> str | None:
    """Return the name of the one file beside a missing one that differs from it only in case; None without one."""
    try:
        names = _names(path.parent, path.parent.stat().st_mtime_ns).get(path.name.casefold(), [])
    except OSError:
        return None
    return names[0] if len(names) == 1 else None


@lru_cache(maxsize=8)
def _names(folder: Path, _version: int) -> dict[str, list[str]]:
    """Return the names in a folder by their case-folded form."""
    names: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir()):
        names.setdefault(file.name.casefold(), []).append(file.name)
    return names
