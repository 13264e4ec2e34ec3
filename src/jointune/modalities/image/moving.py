"""Frames of moving images: GIF, animated WebP and animated PNG."""

import io
from collections.abc import Callable, Iterator

from PIL import Image

from jointune.modalities.image.bounds import MAX_FRAMES, refuse_bombs, refuse_long, spaced
from jointune.modalities.image.rgb import to_rgb, turn_of

_FORMATS = ("GIF", "WEBP", "PNG")
_GIF, _PNG = b"GIF8", b"\x89PNG"


def may_move(content: bytes) -> bool:
    """Return whether a file is of a format that has frames, by its first bytes."""
    return content.startswith((_GIF, _PNG)) or (content.startswith(b"RIFF") and content[8:12] == b"WEBP")


def moving_frames(content: bytes, count: int, file: str, admit: Callable[[int], object]) -> Iterator[Image.Image]:
    """Decode frames of a file as 8-bit RGB, upright; takes and raises what ``open_frames`` does."""
    # Pillow counts the frames of a GIF by looking at each; one begins with these bytes, which are rare elsewhere.
    if content.startswith(_GIF) and (begun := content.count(b"\0,")) > 3 * MAX_FRAMES:
        refuse_long(begun, 1, file)
    image = Image.open(io.BytesIO(content), formats=_FORMATS)
    refuse_bombs(image, file)
    pixels, total = image.width * image.height, getattr(image, "n_frames", 1)
    refuse_long(total, pixels, file)
    admit(pixels)
    turn = turn_of(image)
    for number in spaced(total, count):
        image.seek(number)
        image.load()
        frame = to_rgb(image)
        yield frame if turn is None else frame.transpose(turn)
