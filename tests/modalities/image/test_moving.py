"""Frames of moving images: the same as if they were files of their own; damaged and oversized files are named."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from jointune.data.image_file import ImageError
from jointune.data.post import Post
from jointune.modalities.image import bounds
from jointune.modalities.image.decode import decode_posts
from jointune.modalities.image.open import open_frames, open_image

COLOURS = ("red", "lime", "blue", "white", "black", "yellow", "purple")


def moving(kind: str, count: int = 7, size=(24, 20)) -> bytes:
    frames = [Image.new("RGB", size, COLOURS[number % len(COLOURS)]) for number in range(count)]
    file = BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=50, **options)
    return file.getvalue()


def colours(source, count: int) -> list[tuple[int, ...]]:
    return [image.getpixel((3, 3)) for image in open_frames(source, count)]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_frames_are_evenly_spaced_from_the_first_to_the_last(kind):
    content = moving(kind)
    every = [frame.convert("RGB").getpixel((3, 3)) for frame in ImageSequence.Iterator(Image.open(BytesIO(content)))]
    assert colours(content, 1) == every[:1]
    assert colours(content, 3) == [every[0], every[3], every[6]]
    assert colours(content, 7) == colours(content, 100) == every
    assert np.array_equal(open_image(content), next(open_frames(content, 5)))


@given(st.integers(1, 500), st.integers(1, 50))
def test_the_spacing_is_even(total, count):
    numbers = bounds.spaced(total, count)
    assert len(numbers) == min(total, count) == len(set(numbers))
    assert numbers[0] == 0
    assert count == 1 or numbers[-1] == total - 1
    gaps = np.diff(numbers)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "JPEG", "BMP"])
def test_an_image_that_stands_still_is_one_frame(kind):
    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind)
    assert len(list(open_frames(file.getvalue(), 4))) == 1
    assert len(list(open_frames(Image.open(BytesIO(moving("GIF"))), 4))) == 1  # an opened image is taken as it stands


def test_a_transparent_frame_is_laid_on_white():
    frames = [Image.new("RGBA", (8, 8), (255, 0, 0, alpha)) for alpha in (255, 0)]
    file = BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True, exact=True)
    assert colours(file.getvalue(), 2) == [(255, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_a_file_that_is_cut_off_is_named(kind, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    path = tmp_path / "cut"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=50)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    with pytest.raises(ImageError, match=r"cut: .*damaged or cut off"):
        list(open_frames(path, 6))
    (decoded,) = decode_posts([Post("a", path, where="row 3")], np.asarray, frames=6)
    assert (decoded.problem.where, decoded.problem.what, decoded.images) == ("row 3", str(path), [])
    assert decoded.post.image is None


def test_far_too_many_frames_are_refused():
    with pytest.raises(ImageError, match="too many to open safely"):
        bounds.refuse_long(bounds.MAX_FRAMES + 1, 1, "a.gif")
    with pytest.raises(ImageError, match=r"2,000 frames of 10,000,000 pixels"):
        bounds.refuse_long(2000, 10_000_000, "a.gif")
    with pytest.raises(ImageError, match="too many to open safely"):
        list(open_frames(moving("GIF", 1) + b"\0," * 40_000, 2))


def test_frames_of_several_images_stay_in_order():
    still = Image.new("RGB", (24, 20), "orange")
    post = Post("a", [moving("GIF"), b"broken", still, moving("PNG", 2)], where="row 9")
    (decoded,) = decode_posts([post], lambda image: np.asarray(image.getpixel((3, 3))), frames=3)
    assert [tuple(pixel) for pixel in decoded.images] == [
        (255, 0, 0), (255, 255, 255), (128, 0, 128), (255, 165, 0), (255, 0, 0), (0, 255, 0),
    ]  # fmt: skip
    assert len(decoded.post.images) == 3
    assert decoded.problem.what.startswith("picture 2 of 4, ")
    assert decoded.problem.where == "row 9"
