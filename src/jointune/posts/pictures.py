"""The one place where picture files are opened: any picture people have, to 8-bit RGB, or the reason why not."""

import hashlib
import io
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from jointune.posts.post import Picture, RemotePicture
from jointune.posts.remote import FetchError, fetch

MAX_PIXELS = 178_956_970
"""The largest picture that is opened, 0.5 GiB in RGB: Pillow's own bound against decompression bombs."""

MOST_FILE_BYTES = 2**28
"""The largest file that is read: it is in memory as a whole, several at a time, before its first byte is looked at."""

MAX_SIDE = 65_535
"""Pixels of the longest side that is opened, which no format but PNG can exceed: each row has costs of its own, so that
a picture one pixel wide takes several times the memory of others."""

_MOST_SCANS = 50
"""Passes over a JPEG, of which cameras and browsers make a dozen: each may be a few bytes of the file, and a tenth of a
second of work."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "AVIF")
"""Raster formats only: nothing that runs an interpreter or another program."""

_ICON = b"\0\0\1\0"
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Of a JPEG, after the data of a scan: its end, and whatever is no byte of the data."""

_TILE = 512
"""Pixels a side of what is converted at a time, where that takes several times the memory of the picture itself."""

# ImageOps.exif_transpose also writes the EXIF anew, and fails on every tag that a camera filled wrongly.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(Exception):
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


def open_picture(
    source: Picture, at_least: tuple[int, int] | None = None, admit: Callable[[int], object] = lambda _: None
) -> Image.Image:
    """Decode the first frame of a picture as 8-bit RGB, upright, transparency laid on white.

    Args:
        source: a path, the bytes of a picture file, an opened picture, or one to be fetched.
        at_least: width and height below which a JPEG need not be decoded; larger ones are then decoded at a
            half, quarter or eighth of their size, which is several times faster.
        admit: called with the number of pixels before they are decoded; may wait until there is room for them.

    Raises:
        PictureError: the picture is missing, empty, damaged, too large or no picture at all.
        MissingExtraError: what fetches a picture is not installed.
    """
    file = _name(source)
    content = b"" if isinstance(source, Image.Image) else _content(source, file)
    is_icon = content.startswith(_ICON)
    try:
        if is_icon:  # it is decoded as soon as it is opened, to a size that its header need not tell
            admit(MAX_PIXELS)
        # No catch_warnings here or in any thread: it is the whole process's, and would swallow others' warnings.
        picture = source if isinstance(source, Image.Image) else Image.open(io.BytesIO(content), formats=FORMATS)
        _refuse_bombs(picture, content, file)
        if at_least and picture is not source:
            picture.draft("RGB", at_least)
        if not is_icon:
            admit(picture.width * picture.height)
        try:
            picture.load()
        except OSError:
            whole = _with_end_marker(content)
            if whole is None:
                raise
            picture = Image.open(io.BytesIO(whole), formats=FORMATS)
            if at_least:
                picture.draft("RGB", at_least)
            picture.load()
        # Turned last, when the file's own pixels have been let go: they and two copies would be too much.
        turn = _turn(picture)
        picture = _to_rgb(picture)
        return picture if turn is None else picture.transpose(turn)
    except Image.DecompressionBombError as reason:
        raise PictureError(
            file, f"more than {MAX_PIXELS:,} pixels, too large to open safely", "save it smaller or remove the row"
        ) from reason
    except UnidentifiedImageError as reason:
        raise PictureError(
            file, f"not a picture in a known format ({', '.join(FORMATS)})", "convert it or remove the row"
        ) from reason
    except PictureError:
        raise
    except Exception as reason:  # whatever a decoder stumbles over in damaged input
        raise _damaged(file, reason) from reason


def _refuse_bombs(picture: Image.Image, content: bytes, file: str) -> None:
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise Image.DecompressionBombError
    if max(picture.size) > MAX_SIDE:
        raise PictureError(file, f"a side of more than {MAX_SIDE:,} pixels", "crop it or remove the row")
    if picture.format == "JPEG" and content.count(b"\xff\xda") > _MOST_SCANS:
        raise PictureError(file, f"more than {_MOST_SCANS} passes over a JPEG", "save it anew or remove the row")
    if not pixels:
        raise ValueError("it has no pixels")


def picture_bytes(source: Picture) -> bytes:
    """What identifies a picture: the bytes of its file, or its pixels.

    Raises:
        PictureError: the file is missing, empty or not readable.
    """
    if not isinstance(source, Image.Image):
        return _content(source, _name(source))
    try:
        return f"{source.mode} {source.size} ".encode() + source.tobytes()
    except Exception as reason:  # as in open_picture: an opened file is decoded only now
        raise _damaged(_name(source), reason) from reason


def picture_digest(source: Picture) -> bytes:
    """SHA-256 of a picture's file, or of what an opened picture shows.

    Raises:
        PictureError: the file is missing, empty or not readable.
    """
    if isinstance(source, Image.Image):
        # Not its raw pixels, which mean nothing without palette and orientation.
        source = open_picture(source)
    return hashlib.sha256(picture_bytes(source)).digest()


def _damaged(file: str, reason: Exception) -> PictureError:
    return PictureError(file, f"damaged or cut off ({reason})", "restore the file or remove the row")


def _name(source: Picture) -> str:
    if isinstance(source, Path | RemotePicture):
        return str(source)
    return "picture bytes" if isinstance(source, bytes) else getattr(source, "filename", "") or "opened picture"


def _content(source: Path | bytes | RemotePicture, file: str) -> bytes:
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, RemotePicture):
        try:
            content = fetch(source.address, source.redirects)
        except FetchError as reason:
            raise PictureError(file, reason.reason, reason.remedy) from reason
    else:
        try:
            content = _read(source)
        except FileNotFoundError as reason:
            remedy = "correct the path or leave the picture empty"
            if (other := _in_another_case(source)) is not None:
                remedy = f"there is {other} in its folder, which differs in case: correct the path"
            raise PictureError(file, "no such file", remedy) from reason
        except IsADirectoryError as reason:
            raise PictureError(file, "a folder, not a picture", "name a file or leave the picture empty") from reason
        except (OSError, ValueError) as reason:
            why = getattr(reason, "strerror", None) or reason
            raise PictureError(file, f"not readable: {why}", "correct the path or its permissions") from reason
    if not content:
        raise PictureError(file, "an empty file of 0 bytes", "restore the file or remove the row")
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


def _with_end_marker(content: bytes) -> bytes | None:
    """A JPEG with the end marker that it lacks; ``None`` for anything that lacks more, or something else.

    Where a part of the picture is missing, the decoder fills it with whatever follows, so that it shows.
    """
    if not content.startswith(b"\xff\xd8") or content.rstrip(b"\0").endswith(_END) or not _all_scans(content):
        return None
    content = content.removesuffix(b"\xff")  # half of the marker
    shown = set()
    for filler in (b"", b"\x5a\xa5\x3c" * 400):
        picture = Image.open(io.BytesIO(content + filler + _END), formats=("JPEG",))
        shown.add(hashlib.sha256(picture.tobytes()).digest())
    return content + _END if len(shown) == 1 else None


def _all_scans(content: bytes) -> bool:
    """Whether a JPEG holds all passes over its coefficients: a progressive one cut after a pass decodes to a blur."""
    place, components = 2, b""
    precise: dict[int, set[int]] = {}  # coefficients at full precision, by component
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            return False
        kind, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        segment = content[place + 4 : place + 2 + length]
        place += 2 + length
        if kind in (0xC0, 0xC1, 0xC2):
            components = segment[6::3]
        elif kind == 0xDA:
            count = segment[0]
            first, last, precision = segment[1 + 2 * count :][:3]
            for component in segment[1 : 1 + 2 * count : 2]:
                if precision & 15 == 0:
                    precise.setdefault(component, set()).update(range(first, last + 1))
            following = _MARKER.search(content, place)
            place = following.start() if following else len(content)
    return bool(components) and all(len(precise.get(component, ())) == 64 for component in components)


def _turn(picture: Image.Image) -> Image.Transpose | None:
    with suppress(Exception):  # EXIF beyond reading leaves the pixels good
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return None


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        low, high = _bounds(picture)
        return _by_tiles(picture, lambda tile: _to_eight_bits(tile, low, high))
    if picture.has_transparency_data:
        return _by_tiles(picture, _on_white)
    return picture.convert("RGB")


def _tiles(picture: Image.Image) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    for top in range(0, picture.height, _TILE):
        for left in range(0, picture.width, _TILE):
            right, bottom = min(left + _TILE, picture.width), min(top + _TILE, picture.height)
            yield (left, top), picture.crop((left, top, right, bottom))


def _by_tiles(picture: Image.Image, to_rgb: Callable[[Image.Image], Image.Image]) -> Image.Image:
    whole = Image.new("RGB", picture.size)
    for place, tile in _tiles(picture):
        whole.paste(to_rgb(tile), place)
    return whole


def _on_white(picture: Image.Image) -> Image.Image:
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _values(picture: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(picture).astype(np.float64), posinf=0.0, neginf=0.0)


def _bounds(picture: Image.Image) -> tuple[float, float]:
    """The values that become black and white."""
    bounds = [(values.min(), values.max()) for values in (_values(tile) for _, tile in _tiles(picture))]
    low, high = float(min(low for low, _ in bounds)), float(max(high for _, high in bounds))
    if low >= 0 and high <= 255 and picture.mode != "F":
        return 0.0, 255.0
    return (0.0, 65535.0) if low >= 0 and 255 < high <= 65535 else (low, high)


def _to_eight_bits(picture: Image.Image, low: float, high: float) -> Image.Image:
    # Pillow's own conversion clips 16-bit values at 255, which turns nearly every such picture white.
    scaled = (_values(picture) - low) / (high - low or 1.0) * 255
    return Image.fromarray(scaled.round().astype(np.uint8), "L").convert("RGB")
