"""The one place where picture files are opened: any picture people have, to 8-bit RGB, or the reason why not."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from jointune.data.image_file import ImageError, damaged, image_bytes, image_name, orientation
from jointune.data.post import ImageSource

MAX_PIXELS = 178_956_970
"""The largest picture that is opened, 0.5 GiB in RGB: Pillow's own bound against decompression bombs."""

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


def open_image(
    source: ImageSource, at_least: tuple[int, int] | None = None, admit: Callable[[int], object] = lambda _: None
) -> Image.Image:
    """Decode the first frame of a picture as 8-bit RGB, upright, transparency laid on white.

    Args:
        source: a path, the bytes of a picture file, an opened picture, or one to be fetched.
        at_least: width and height below which a JPEG need not be decoded; larger ones are then decoded at a
            half, quarter or eighth of their size, which is several times faster.
        admit: called with the number of pixels before they are decoded; may wait until there is room for them.

    Raises:
        ImageError: the picture is missing, empty, damaged, too large or no picture at all.
        MissingExtraError: what fetches a picture is not installed.
    """
    file = image_name(source)
    content = b"" if isinstance(source, Image.Image) else image_bytes(source)
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
        raise ImageError(
            file, f"more than {MAX_PIXELS:,} pixels, too large to open safely", "save it smaller or remove the row"
        ) from reason
    except UnidentifiedImageError as reason:
        raise ImageError(
            file, f"not a picture in a known format ({', '.join(FORMATS)})", "convert it or remove the row"
        ) from reason
    except ImageError:
        raise
    except Exception as reason:  # whatever a decoder stumbles over in damaged input
        raise damaged(file, reason) from reason


def _refuse_bombs(picture: Image.Image, content: bytes, file: str) -> None:
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise Image.DecompressionBombError
    if max(picture.size) > MAX_SIDE:
        raise ImageError(file, f"a side of more than {MAX_SIDE:,} pixels", "crop it or remove the row")
    if picture.format == "JPEG" and content.count(b"\xff\xda") > _MOST_SCANS:
        raise ImageError(file, f"more than {_MOST_SCANS} passes over a JPEG", "save it anew or remove the row")
    if not pixels:
        raise ValueError("it has no pixels")


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
    return _TURNS.get(orientation(picture))


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
