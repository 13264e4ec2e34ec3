"""Bounds on what is decoded, against files that are small and hold far too much."""

from PIL import Image

from jointune.data.image_file import ImageError

MAX_PIXELS = 178_956_970
"""The largest image that is opened, 0.5 GiB in RGB: Pillow's own bound against decompression bombs."""

MAX_SIDE = 65_535
"""Pixels of the longest side that is opened, which only PNG can exceed: each row has costs of its own, so that an image
one pixel wide takes several times the memory of others."""

MAX_FRAMES = 10_000
"""Frames that are decoded on the way to the last one."""

MAX_MOVING_PIXELS = 2**32
"""Pixels of all frames together: about a minute."""


def refuse_bombs(image: Image.Image, file: str) -> None:
    """Raise where an image is too large, before its pixels are decoded.

    Raises:
        ImageError: it has a side that is too long.
        Image.DecompressionBombError: it has too many pixels.
        ValueError: it has none.
    """
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise Image.DecompressionBombError
    if max(image.size) > MAX_SIDE:
        raise ImageError(file, f"a side of more than {MAX_SIDE:,} pixels", "crop it or remove the row")
    if not pixels:
        raise ValueError("it has no pixels")


def refuse_long(frames: int, pixels: int, file: str) -> None:
    """Raise an ``ImageError`` where there are more ``frames`` of so many ``pixels`` each than are decoded."""
    if frames > MAX_FRAMES or frames * pixels > MAX_MOVING_PIXELS:
        raise ImageError(
            file,
            f"{frames:,} frames of {pixels:,} pixels, too many to open safely",
            "save it shorter or smaller, or remove the row",
        )


def spaced(total: int, count: int) -> list[int]:
    """Return the numbers of ``count`` of ``total`` frames, evenly spaced from the first to the last; all if few."""
    if count == 1 or total <= count:
        return list(range(min(count, total)))
    return [(2 * number * (total - 1) + count - 1) // (2 * (count - 1)) for number in range(count)]
