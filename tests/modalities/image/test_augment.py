"""Changed copies of training images."""

import numpy as np
import pytest
from PIL import Image

from jointune.modalities.image.augment import CHANGES, change, changed

FREE = (7, 80, 200)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("strength", [-1.0, -0.3, 0.0, 0.3, 1.0])
def test_a_change_keeps_the_size(pixels, name, strength):
    image = change(Image.fromarray(pixels), name, strength, FREE)
    assert (image.size, image.mode) == ((64, 48), "RGB")


@pytest.mark.parametrize("name", ["shear horizontally", "move vertically", "rotate", "brightness", "posterise"])
def test_a_strength_of_zero_changes_nothing_and_one_of_one_does(pixels, name):
    image = Image.fromarray(pixels)
    assert np.array_equal(change(image, name, 0.0, FREE), pixels)
    assert not np.array_equal(change(image, name, 1.0, FREE), pixels)


def test_what_an_image_leaves_free_gets_the_given_colour(pixels):
    moved = np.asarray(change(Image.fromarray(pixels), "move horizontally", 1.0, FREE))
    assert (moved[:, -9:] == FREE).all()


def test_the_draws_decide_and_all_changes_occur(pixels):
    first, again = (changed(pixels, np.random.default_rng([1, 2]), FREE) for _ in range(2))
    assert np.array_equal(first, again)
    outcomes = {changed(pixels, np.random.default_rng(seed), FREE).tobytes() for seed in range(200)}
    assert len(outcomes) > 100
    assert pixels.tobytes() in outcomes
    assert pixels[:, ::-1].tobytes() in outcomes
