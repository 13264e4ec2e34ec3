"""Images of any mode to 8-bit RGB."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from jointune.data.image_file import orientation

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


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return how an image has to be turned to be upright; None if it is."""
    return _TURNS.get(orientation(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a copy as 8-bit RGB, transparency laid on white."""
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
