"""Planted near-duplicates are found, and no others."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from jointune.audit.near_duplicates import Pair, near_duplicates

WORDS = "river coffee window thunder garden bottle market violin harbour candle mountain letter winter bridge".split()  # noqa: SIM905


def text(seed, words=14):
    random = np.random.default_rng(seed)
    return " ".join(random.choice(WORDS, words)) + f" {seed}"


def picture(seed):
    """Soft shapes of random brightness."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 255, (6, 6, 3), dtype=np.uint8))
    return small.resize((128, 128), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


def recompressed(image, quality=40):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image, share=0.05):
    edge = round(image.width * share / 2)
    return image.crop((edge, edge, image.width - edge, image.height - edge)).resize(image.size)


def cropped_at_a_corner(image):
    """Cut off 5 % of the width on the left, and of the height below."""
    return image.crop((round(0.05 * image.width), 0, image.width, round(0.95 * image.height))).resize(image.size)


def test_hashtags_links_and_handles_do_not_make_another_text():
    tags = "#somethingquitelong http://t.co/{0} @somebody{0} #{0}"
    texts = [f"{text(seed, 6)} {tags.format('first')}" for seed in range(50)]
    changed = [f"{text(seed, 6)} {tags.format('other')}" for seed in range(50)]
    found = near_duplicates(texts + changed, [None] * 100)
    assert [(pair.first, pair.second) for pair in found] == [(seed, 50 + seed) for seed in range(50)]
    assert near_duplicates(["#happy #monday #coffee #now", "#sunny #friday #teapot #now"], [None, None]) == []


def test_planted_texts_are_found():
    texts = [text(seed) for seed in range(300)]
    changed = [one.replace(f" {seed}", f" #other{seed}") for seed, one in enumerate(texts[:40])]
    found = near_duplicates(texts + changed, [None] * 340)
    wanted = {(seed, 300 + seed) for seed in range(40)}
    hit = {(pair.first, pair.second) for pair in found}
    assert len(hit & wanted) / len(wanted) >= 0.95
    assert len(hit & wanted) / len(hit) >= 0.95
    assert {pair.shared for pair in found} == {"text"}


@pytest.mark.parametrize(
    "change", [recompressed, cropped, cropped_at_a_corner, lambda image: image.resize((90, 90)).resize((128, 128))]
)
def test_planted_images_are_found(change):
    images = [picture(seed) for seed in range(200)]
    changed = [np.asarray(change(image)) for image in images[:30]]
    found = near_duplicates([None] * 230, iter([*map(np.asarray, images), *changed]))
    wanted = {(seed, 200 + seed) for seed in range(30)}
    hit = {(pair.first, pair.second) for pair in found}
    assert len(hit & wanted) / len(wanted) >= 0.95
    assert len(hit & wanted) / max(len(hit), 1) >= 0.95


def test_the_same_counts_as_one_and_short_texts_only_if_the_same():
    image = np.asarray(picture(1))
    assert near_duplicates(["so nice", "SO  nice", "so nicely"], [image, None, image]) == [
        Pair(0, 1, "text", 1.0),
        Pair(0, 2, "image", 1.0),
    ]
    assert near_duplicates([text(1), text(1) + " !"], [image, image])[0].shared == "text+image"
    assert near_duplicates([], []) == []
    assert near_duplicates([None, " "], [None, None]) == []


def test_plain_images_are_no_duplicates_of_others():
    flat = [np.full((32, 32, 3), value, dtype=np.uint8) for value in (0, 128, 255)]
    found = near_duplicates([None] * 4, [*flat, np.asarray(picture(2))])
    assert not [pair for pair in found if pair.second == 3]


def test_the_same_shape_on_another_ground_is_no_duplicate():
    dark, light = (np.full((32, 32, 3), value, dtype=np.uint8) for value in ((0, 0, 90), (250, 240, 0)))
    dark[4:9, 4:9], light[4:9, 4:9] = (60, 0, 0), (160, 240, 0)
    assert near_duplicates([None] * 3, [dark, light, dark])[0] == Pair(0, 2, "image", 1.0)
    assert len(near_duplicates([None] * 3, [dark, light, dark])) == 1


@settings(max_examples=30)
@given(st.lists(st.text(max_size=60), max_size=8))
def test_any_texts_can_be_compared(texts):
    for pair in near_duplicates(texts, [None] * len(texts)):
        assert 0 <= pair.first < pair.second < len(texts)
        assert 0.7 <= pair.likeness <= 1
