"""Decode image files of all kinds that people have to 8-bit RGB; the one place where images are decoded."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from jointune.data.image_file import ImageError, damaged, image_bytes, image_name, orientation
from jointune.data.post import ImageSource

MAX_PIXELS = 178_956_970
"""The largest image that is opened, 0.5 GiB in RGB: Pillow's own bound against decompression bombs."""

MAX_SIDE = 65_535
"""Pixels of the longest side that is opened, which only PNG can exceed: each row has costs of its own, so that an image
one pixel wide takes several times the memory of others."""

_MOST_SCANS = 50
"""Passes over a JPEG, of which cameras and browsers make a dozen: each takes a tenth of a second, and a few bytes."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "AVIF")
"""Raster formats only: nothing that runs an interpreter or another program."""

_ICON = b"\0\0\1\0"
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The first marker of a JPEG after the data of a scan."""

_TILE = 512
"""Pixels a side that are converted at a time, if conversion takes several times the memory of the image itself."""

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
    """Decode the first frame of an image as 8-bit RGB, upright, transparency laid on white.

    Args:
        source: a path, the bytes of an image file, an opened image, or one to be fetched.
        at_least: width and height that are enough; a larger JPEG may be decoded at a half, quarter or eighth of its
            size, which is several times faster.
        admit: called with the number of pixels before they are decoded; may wait until there is room for them.

    Raises:
        ImageError: the image is missing, empty, damaged, too large or no image at all.
        MissingExtraError: the package that fetches an image is not installed.
    """
    file = image_name(source)
    content = b"" if isinstance(source, Image.Image) else image_bytes(source)
    is_icon = content.startswith(_ICON)
    try:
        if is_icon:  # decoded as soon as it is opened, to a size that may not be in its header
            admit(MAX_PIXELS)
        # No catch_warnings here or in any thread: it belongs to the process, and would swallow others' warnings.
        image = source if isinstance(source, Image.Image) else Image.open(io.BytesIO(content), formats=FORMATS)
        _refuse_bombs(image, content, file)
        if at_least and image is not source:
            image.draft("RGB", at_least)
        if not is_icon:
            admit(image.width * image.height)
        try:
            image.load()
        except OSError:
            whole = _with_end_marker(content)
            if whole is None:
                raise
            image = Image.open(io.BytesIO(whole), formats=FORMATS)
            if at_least:
                image.draft("RGB", at_least)
            image.load()
        # Turned last, when the file's own pixels have been freed: they and two copies would be too much.
        turn = _TURNS.get(orientation(image))
        image = _to_rgb(image)
        return image if turn is None else image.transpose(turn)
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
    except Exception as reason:  # decoders raise nearly anything at damaged input
        raise damaged(file, reason) from reason


def _refuse_bombs(image: Image.Image, content: bytes, file: str) -> None:
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise Image.DecompressionBombError
    if max(image.size) > MAX_SIDE:
        raise ImageError(file, f"a side of more than {MAX_SIDE:,} pixels", "crop it or remove the row")
    if image.format == "JPEG" and content.count(b"\xff\xda") > _MOST_SCANS:
        raise ImageError(file, f"more than {_MOST_SCANS} passes over a JPEG", "save it anew or remove the row")
    if not pixels:
        raise ValueError("it has no pixels")


def _with_end_marker(content: bytes) -> bytes | None:
    """Add the end marker that a JPEG lacks; return None if anything else is missing, or for other formats.

    If a part of the image is missing, the decoder fills it with the bytes that follow: two fillers give two images.
    """
    if not content.startswith(b"\xff\xd8") or content.rstrip(b"\0").endswith(_END) or not _has_all_scans(content):
        return None
    content = content.removesuffix(b"\xff")  # half of the marker
    decoded = set()
    for filler in (b"", b"\x5a\xa5\x3c" * 400):
        image = Image.open(io.BytesIO(content + filler + _END), formats=("JPEG",))
        decoded.add(hashlib.sha256(image.tobytes()).digest())
    return content + _END if len(decoded) == 1 else None


def _has_all_scans(content: bytes) -> bool:
    """Return whether a JPEG has all passes over its coefficients: a progressive one cut after a pass is blurred."""
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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        low, high = _value_range(image)
        return _by_tiles(image, lambda tile: _to_eight_bits(tile, low, high))
    if image.has_transparency_data:
        return _by_tiles(image, _on_white)
    return image.convert("RGB")


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    for top in range(0, image.height, _TILE):
        for left in range(0, image.width, _TILE):
            right, bottom = min(left + _TILE, image.width), min(top + _TILE, image.height)
            yield (left, top), image.crop((left, top, right, bottom))


def _by_tiles(image: Image.Image, to_rgb: Callable[[Image.Image], Image.Image]) -> Image.Image:
    whole = Image.new("RGB", image.size)
    for place, tile in _tiles(image):
        whole.paste(to_rgb(tile), place)
    return whole


def _on_white(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _values(image: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)


def _value_range(image: Image.Image) -> tuple[float, float]:
    """Return the values that become black and white."""
    bounds = [(values.min(), values.max()) for values in (_values(tile) for _, tile in _tiles(image))]
    low, high = float(min(low for low, _ in bounds)), float(max(high for _, high in bounds))
    if low >= 0 and high <= 255 and image.mode != "F":
        return 0.0, 255.0
    return (0.0, 65535.0) if low >= 0 and 255 < high <= 65535 else (low, high)


def _to_eight_bits(image: Image.Image, low: float, high: float) -> Image.Image:
    # Pillow's own conversion clips 16-bit values at 255, which turns nearly every such image white.
    scaled = (_values(image) - low) / (high - low or 1.0) * 255
    return Image.fromarray(scaled.round().astype(np.uint8), "L").convert("RGB")
