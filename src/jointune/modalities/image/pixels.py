"""Pictures to pixels: resize and crop, as the image encoder was trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image

from jointune.data.post import Post
from jointune.modalities.batch import Arrays, Preprocessor
from jointune.modalities.parts import Parts

GRID = 7
"""Regions across and down an image, whose parts in an answer are told apart."""


@dataclass(frozen=True)
class ImagePreprocessor(Preprocessor):
    """The preparation of images for an encoder; normalisation happens in the encoder, on the device.

    Attributes:
        size: height and width of the encoder's input, in pixels.
        resize: height and width that a picture is resized to before the crop.
        fit: ``crop`` keeps the aspect ratio and cuts the centre square, ``squash`` does not keep it and cuts nothing.
        resample: Pillow's filter, such as ``Image.Resampling.BICUBIC``.
        mean: per channel, of pixel values between 0 and 1.
        std: per channel, of pixel values between 0 and 1.
        bgr: whether the encoder takes blue first. What ``prepare`` and ``crop`` give is red first all the same; mean
            and deviation are in the encoder's order.
        max_images: images of a post that are used, the first ones.
        frames: of a moving image or a video that are used, evenly spaced.
    """

    name: ClassVar[str] = "image"
    several: ClassVar[bool] = True

    size: tuple[int, int]
    resize: tuple[int, int]
    fit: Literal["crop", "squash"] = "crop"
    resample: int = Image.Resampling.BICUBIC
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    bgr: bool = False
    max_images: int = 4
    frames: int = 1

    def without_margin(self) -> "ImagePreprocessor":
        """One that cuts off nothing after resizing, so that it shows more of each picture, a little smaller."""
        return replace(self, resize=self.size)

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Return an RGB picture to uint8 [resize height, resize width, 3], from which training crops at random."""
        height, width = self.resize
        box = None
        if self.fit == "crop":
            # Only the part that is kept is resized: a 12,000 x 9 picture would otherwise grow to 87 million pixels.
            scale = min(image.width / width, image.height / height)
            # By rounding, the kept part could exceed the picture, which Pillow refuses.
            kept_width, kept_height = min(width * scale, image.width), min(height * scale, image.height)
            left, top = (image.width - kept_width) / 2, (image.height - kept_height) / 2
            box = (left, top, left + kept_width, top + kept_height)
        resized = image.resize((width, height), Image.Resampling(self.resample), box=box)
        return np.asarray(resized)

    def crop(self, pixels: np.ndarray, offset: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
        """Cut ``size`` out of what ``prepare`` gave; ``offset`` is 0 at the top and left, 1 at the bottom and right."""
        height, width = self.size
        top = round((pixels.shape[0] - height) * offset[0])
        left = round((pixels.shape[1] - width) * offset[1])
        return pixels[top : top + height, left : left + width]

    @property
    def mean_colour(self) -> np.ndarray:
        """The colour that is zero to the encoder, red first, uint8 [3]."""
        return np.rint(255 * np.array(self.mean[::-1] if self.bgr else self.mean)).astype(np.uint8)

    def parts(self, post: Post, row: Sequence[np.ndarray]) -> Parts:
        """Divide images into grids of regions, which are removed by painting them in the mean colour."""
        edges = [np.linspace(0, side, GRID + 1).round().astype(int) for side in self.size]
        down, right = (np.digitize(np.arange(cuts[-1]), cuts[1:-1]) for cuts in edges)
        index = np.arange(len(row))[:, None, None] * GRID**2 + down[:, None] * GRID + right
        boxes, names = [], []
        for number, y, x in product(range(len(row)), range(GRID), range(GRID)):
            boxes.append((number, edges[0][y], edges[1][x], edges[0][y + 1], edges[1][x + 1]))
            names.append(f"picture {number + 1}, " * (len(row) > 1) + f"row {y + 1}, column {x + 1}")

        def remove(hidden: np.ndarray) -> list[np.ndarray] | None:
            return None if hidden.all() else list(np.where(hidden[index][..., None], self.mean_colour, np.stack(row)))

        return Parts("region", names, index, remove, boxes)

    def without(self, post: Post) -> Post:
        """Return a post without its images, and without the text in them."""
        return post if post.image is None else replace(post, image=None, image_text=None)

    def collate(self, rows: Sequence[Sequence[np.ndarray]]) -> Arrays:
        """Stack the images of all posts as ``pixels``, uint8 [I, H, W, 3]."""
        return {"pixels": np.stack([image for row in rows for image in row])}

    def examples(self) -> list[list[np.ndarray]]:
        """Make the black images of two posts."""
        return [[np.zeros((*self.size, 3), dtype=np.uint8)] * count for count in (2, 1)]

    def summary(self) -> str:
        """Describe the preparation in a sentence."""
        return f"Pictures are brought to {self.size[1]} x {self.size[0]} pixels."

    def config(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ImagePreprocessor":
        """Read back what ``config`` returned."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in config.items()}
        return cls(**values)
