"""The file of an image: its bytes, or the reason why there are none; and the digest by which an image is known."""

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
"""The largest file that is read: it is in memory as a whole, several at a time, before its first byte is looked at."""


class ImageError(Exception):
    """A picture that cannot be used.

    Attributes:
        file: the picture's name for messages.
        reason: what is wrong with it.
        remedy: what to do about it.
    """

    def __init__(self, file: str, reason: str, remedy: str) -> None:
        super().__init__(f"{file}: {reason}; {remedy}")
        self.file = file
        self.reason = reason
        self.remedy = remedy


def image_name(source: ImageSource) -> str:
    """The name of an image in messages."""
    if isinstance(source, Path | RemoteImage):
        return str(source)
    return "picture bytes" if isinstance(source, bytes) else getattr(source, "filename", "") or "opened picture"


def damaged(file: str, reason: Exception) -> ImageError:
    """The error for an image whose content cannot be decoded."""
    return ImageError(file, f"damaged or cut off ({reason})", "restore the file or remove the row")


def image_digest(source: ImageSource) -> bytes:
    """SHA-256 by which an image is known: of its file, or of all that an opened image holds.

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
        looks = (source.mode, source.size, palette, source.info.get("transparency"), orientation(source))
    except Exception as reason:  # an opened file is decoded only now
        raise damaged(image_name(source), reason) from reason
    return hashlib.sha256(repr(looks).encode() + pixels).digest()


@lru_cache(maxsize=2**18)
def _file_digest(path: Path, _version: tuple[int, ...]) -> bytes:
    return hashlib.sha256(image_bytes(path)).digest()


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # EXIF beyond reading leaves the pixels good
        logger.debug("unreadable EXIF in %s", image_name(image))
        return 1


def image_bytes(source: Path | bytes | RemoteImage) -> bytes:
    """Read an image's file.

    Raises:
        ImageError: it is missing, empty, too large or not readable.
        MissingExtraError: the package that fetches it is not installed.
    """
    file = image_name(source)
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, RemoteImage):
        try:
            content = fetch(source.address, source.redirects)
        except FetchError as reason:
            raise ImageError(file, reason.reason, reason.remedy) from reason
    else:
        try:
            content = _read(source)
        except FileNotFoundError as reason:
            remedy = "correct the path or leave the picture empty"
            if (other := _in_another_case(source)) is not None:
                remedy = f"there is {other} in its folder, which differs in case: correct the path"
            raise ImageError(file, "no such file", remedy) from reason
        except IsADirectoryError as reason:
            raise ImageError(file, "a folder, not a picture", "name a file or leave the picture empty") from reason
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
            return b""  # some files that the system makes up say so, and are never read to their end
        if about.st_size > MOST_FILE_BYTES:
            raise ValueError(f"larger than {MOST_FILE_BYTES // 2**20} MiB")
    elif not stat.S_ISDIR(about.st_mode):
        raise ValueError("a device or a pipe, not a file")  # reading it might never end
    with open(path, "rb") as file:
        return file.read(about.st_size + 1)


def _in_another_case(path: Path) -> str | None:
    """The name of the one file beside a missing one that differs from it only in case, if there is one."""
    try:
        names = _names(path.parent, path.parent.stat().st_mtime_ns).get(path.name.casefold(), [])
    except OSError:
        return None
    return names[0] if len(names) == 1 else None


@lru_cache(maxsize=8)
def _names(folder: Path, _: int) -> dict[str, list[str]]:
    """The names in a folder by what they are without regard to case; listed once as long as it stays the same."""
    names: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir()):
        names.setdefault(file.name.casefold(), []).append(file.name)
    return names
