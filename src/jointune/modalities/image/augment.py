"""Changed copies of training images: TrivialAugment (Müller and Hutter, 2021, arXiv 2103.10158)."""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

_MOVES = {
    "shear horizontally": (0, 1 / 2, 0, 0, 0, 0),
    "shear vertically": (0, 0, 0, 1 / 2, 0, 0),
    "move horizontally": (0, 0, 1 / 7, 0, 0, 0),
    "move vertically": (0, 0, 0, 0, 0, 1 / 7),
}
"""What is added to the affine matrix at full strength; shifts as a share of the side."""

_ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "colour": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}

CHANGES = ("none", *_MOVES, "rotate", *_ENHANCERS, "posterise", "solarise", "stretch contrast", "equalise")
"""Those of TrivialAugment, with strengths between its narrow and its wide space."""


def changed(pixels: np.ndarray, random: np.random.Generator, free: tuple[int, ...]) -> np.ndarray:
    """Mirror an image by chance, and change it in one way, each with the same chance, as strongly as drawn.

    Args:
        pixels: uint8 [H, W, 3].
        random: decides.
        free: the colour of what the image leaves free.
    """
    mirrored, name, strength = random.random() < 0.5, CHANGES[random.integers(len(CHANGES))], random.uniform(-1, 1)
    image = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels))
    return np.asarray(change(image, name, strength, free))


def change(image: Image.Image, name: str, strength: float, free: tuple[int, ...]) -> Image.Image:
    """Change an image in one of ``CHANGES``, at a strength from -1 to 1; what becomes free gets the colour ``free``."""
    bilinear = Image.Resampling.BILINEAR
    if name in _MOVES:
        units = (1, 1, image.width, 1, 1, image.height)
        steps = [strength * step * unit for step, unit in zip(_MOVES[name], units, strict=True)]
        matrix = tuple(start + step for start, step in zip((1, 0, 0, 0, 1, 0), steps, strict=True))
        return image.transform(image.size, Image.Transform.AFFINE, matrix, bilinear, fillcolor=free)
    if name in _ENHANCERS:
        return _ENHANCERS[name](image).enhance(1 + 0.9 * strength)
    match name:
        case "rotate":
            return image.rotate(60 * strength, bilinear, fillcolor=free)
        case "posterise":
            return ImageOps.posterize(image, 8 - int(6 * abs(strength)))
        case "solarise":
            return ImageOps.solarize(image, int(255 * (1 - abs(strength))))
        case "stretch contrast":
            return ImageOps.autocontrast(image)
        case "equalise":
            return ImageOps.equalize(image)
    return image
