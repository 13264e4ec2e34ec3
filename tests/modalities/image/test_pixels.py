"""Any picture becomes the pixels that the image encoder takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jointune.modalities.image.pixels import ImagePreprocessor


@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.sampled_from(["crop", "squash"]),
)
def test_pictures_of_any_size_fit(size, resize, fit):
    pixels = ImagePreprocessor(size=resize, resize=resize, fit=fit).prepare(Image.new("RGB", size, (9, 8, 7)))
    assert pixels.shape == (*resize, 3)
    assert (pixels == (9, 8, 7)).all()


@pytest.mark.parametrize("size", [(225, 300), (300, 225), (58, 60)])
def test_rounding_does_not_reach_beyond_the_picture(size):
    # 225 / 224 * 224 is more than 225.
    ImagePreprocessor(size=(224, 224), resize=(224, 224)).prepare(Image.new("RGB", size))


def test_a_crop_keeps_the_middle():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    pixels = ImagePreprocessor(size=(10, 10), resize=(10, 10)).prepare(Image.fromarray(picture))
    assert (pixels == 255).all()


def test_without_a_margin_more_of_the_picture_is_seen():
    picture = Image.fromarray(np.arange(64, dtype=np.uint8).repeat(3).reshape(8, 8, 3))
    margin = ImagePreprocessor(size=(4, 4), resize=(8, 8), resample=Image.Resampling.NEAREST)
    whole = margin.without_margin()
    assert margin.crop(margin.prepare(picture))[:, :, 0].max() < 50
    assert whole.crop(whole.prepare(picture)).shape == (4, 4, 3)
    assert whole.crop(whole.prepare(picture))[:, :, 0].max() >= 54
    unchanged = ImagePreprocessor(size=(4, 4), resize=(4, 4))
    assert unchanged.without_margin() == unchanged
