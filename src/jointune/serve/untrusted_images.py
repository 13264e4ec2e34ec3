"""Pictures from strangers: looked at before they are decoded."""

import io

from PIL import Image, UnidentifiedImageError

from jointune.data.image_file import ImageError
from jointune.modalities.image.open import open_image
from jointune.serve.limits import Limits
from jointune.serve.refusal import Refused

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""What phones and browsers send; each further decoder would be a further door."""

_LARGE = 2_000_000
"""Pixels from which on a picture is decoded alone: at 8 bytes a pixel, for WebP 17, several at a time would need
gigabytes."""


def check_image(content: bytes, limits: Limits) -> bool:
    """Look at a picture's first bytes only.

    Returns:
        Whether it is large: such pictures are decoded one at a time.

    Raises:
        Refused: 413, 415 or 422.
    """
    if len(content) > limits.image_bytes:
        raise Refused(413, f"larger than {limits.image_bytes:,} bytes", "save it smaller")
    pixels = _count_pixels(content)
    if pixels > limits.picture_pixels:
        raise Refused(413, f"more than {limits.picture_pixels:,} pixels", "save it smaller")
    return pixels > _LARGE


def decode_image(content: bytes, at_least: tuple[int, int] | None) -> Image.Image:
    """A picture that was checked as 8-bit RGB, exactly as all of jointune opens pictures.

    Args:
        content: its file.
        at_least: see ``jointune.modalities.image.open.open_image``.

    Raises:
        Refused: 422.
    """
    try:
        return open_image(content, at_least)
    except ImageError as reason:
        raise Refused(422, reason.reason, "send the file whole, or save it anew") from reason


def _count_pixels(content: bytes) -> int:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            return picture.width * picture.height
    except Image.DecompressionBombError as reason:
        raise Refused(413, "far too many pixels", "save it smaller") from reason
    except UnidentifiedImageError as reason:
        raise Refused(
            415, f"not a picture in an accepted format ({', '.join(FORMATS)})", "convert it to one of them"
        ) from reason
    except Exception as reason:  # whatever a decoder stumbles over in damaged input
        raise Refused(422, f"damaged ({type(reason).__name__})", "send the file whole, or save it anew") from reason
