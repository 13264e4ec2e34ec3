"""Decode image files of all kinds that people have to 8-bit RGB; the one place where images are decoded."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from jointune.data.image_file import ImageError, damaged, image_bytes, image_name, orientation
from jointune.data.post import ImageSource, RemoteImage
from jointune.errors import JointuneError
from jointune.modalities.image.bounds import MAX_PIXELS, refuse_bombs
from jointune.modalities.image.moving import may_move, moving_frames
from jointune.modalities.image.rgb import to_rgb, turn_of
from jointune.modalities.image.video import video_container, video_frames

_MOST_SCANS = 50
"""Passes over a JPEG, of which cameras and browsers make a dozen: each takes a tenth of a second, and a few bytes."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "AVIF")
"""Raster formats only: nothing that runs an interpreter or another program."""

_ICON = b"\0\0\1\0"
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The first marker of a JPEG after the data of a scan."""


def open_image(
    source: ImageSource, at_least: tuple[int, int] | None = None, admit: Callable[[int], object] = lambda _: None
) -> Image.Image:
    """Decode an image, or the first frame of a moving one or of a video; see ``open_frames``."""
    return next(open_frames(source, 1, at_least, admit))


def image_size(source: ImageSource) -> tuple[int, int] | None:
    """Return width and height of an image, upright, from its header; None of a video, and of one not fetched yet.

    Raises:
        ImageError: the image is missing, empty or no image at all.
    """
    if isinstance(source, RemoteImage):
        return None
    content = b"" if isinstance(source, Image.Image) else image_bytes(source)
    with _clear_errors(image_name(source)):
        if video_container(content):
            return None
        image = source if isinstance(source, Image.Image) else Image.open(io.BytesIO(content), formats=FORMATS)
        return image.size[::-1] if orientation(image) > 4 else image.size


def open_frames(
    source: ImageSource,
    count: int,
    at_least: tuple[int, int] | None = None,
    admit: Callable[[int], object] = lambda _: None,
) -> Iterator[Image.Image]:
    """Decode an image as 8-bit RGB, upright, transparency laid on white, or frames of a moving image or a video.

    Args:
        source: a path, the bytes of a file, an opened image, or one to be fetched.
        count: frames to decode at most, evenly spaced from the first to the last. An opened image is one frame.
        at_least: width and height that are enough; a larger JPEG may be decoded at a half, quarter or eighth of its
            size, which is several times faster.
        admit: called with the number of pixels before they are decoded; may wait until there is room for them.

    Yields:
        Each frame; one for an image that does not move.

    Raises:
        ImageError: the image is missing, empty, damaged, too large or no image at all.
        MissingExtraError: the package that fetches an image, or decodes a video, is not installed.
    """
    file = image_name(source)
    content = b"" if isinstance(source, Image.Image) else image_bytes(source)
    with _clear_errors(file):
        if container := video_container(content):
            yield from video_frames(content, container, count, file, admit)
        elif count > 1 and may_move(content):
            yield from moving_frames(content, count, file, admit)
        else:
            yield _still(source if isinstance(source, Image.Image) else content, file, at_least, admit)


def _still(
    source: Image.Image | bytes, file: str, at_least: tuple[int, int] | None, admit: Callable[[int], object]
) -> Image.Image:
    content = source if isinstance(source, bytes) else b""
    is_icon = content.startswith(_ICON)
    if is_icon:  # decoded as soon as it is opened, to a size that may not be in its header
        admit(MAX_PIXELS)
    # No catch_warnings here or in any thread: it belongs to the process, and would swallow others' warnings.
    image = Image.open(io.BytesIO(source), formats=FORMATS) if isinstance(source, bytes) else source
    refuse_bombs(image, file)
    if image.format == "JPEG" and content.count(b"\xff\xda") > _MOST_SCANS:
        raise ImageError(file, f"more than {_MOST_SCANS} passes over a JPEG", "save it anew or remove the row")
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
    turn = turn_of(image)
    image = to_rgb(image)
    return image if turn is None else image.transpose(turn)


@contextmanager
def _clear_errors(file: str) -> Iterator[None]:
    """Turn what decoders raise into an ``ImageError``."""
    try:
        yield
    except Image.DecompressionBombError as reason:
        raise ImageError(
            file, f"more than {MAX_PIXELS:,} pixels, too large to open safely", "save it smaller or remove the row"
        ) from reason
    except UnidentifiedImageError as reason:
        raise ImageError(
            file, f"not a picture in a known format ({', '.join(FORMATS)})", "convert it or remove the row"
        ) from reason
    except (ImageError, JointuneError):
        raise
    except Exception as reason:  # decoders raise nearly anything at damaged input
        raise damaged(file, reason) from reason


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
