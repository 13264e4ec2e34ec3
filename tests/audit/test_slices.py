"""Slices are found by what posts hold, and judged by intervals that count all of them."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jointune import Post
from jointune.audit.slices import members, script, slices
from jointune.evaluation.intervals import wilson
from jointune.modalities.image.open import image_size


def picture(width, height, **options):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("what a day", "Latin"),
        ("что за день, ok", "Cyrillic"),
        ("हमारे यहाँ", "Devanagari"),
        ("今天天气", "Han"),
        ("𝓯𝓪𝓷𝓬𝔂", "Latin"),
        ("😀 123 !", ""),
        ("", ""),
    ],
)
def test_the_script_is_that_of_most_letters(text, name):
    assert script(text) == name


@given(st.text())
def test_any_text_has_a_script_or_none(text):
    assert isinstance(script(text), str)


def test_posts_are_divided_by_text_image_and_hashtag():
    posts = [
        Post("short #Sun", picture(40, 40)),
        Post("a text of more words than others #sun", picture(80, 40)),
        Post("что за день", picture(40, 90)),
        Post(None, picture(400, 410)),
        Post("123 456"),
    ]
    found = {name: np.flatnonzero(chosen).tolist() for name, chosen in members(posts)}
    assert found["no text"] == [3]
    assert found["no image"] == [4]
    assert found["texts in Latin script"] == [0, 1]
    assert found["texts in Cyrillic script"] == [2]
    assert found["texts without letters"] == [4]
    assert found["wide images"] == [1]
    assert found["upright images"] == [2]
    assert found["images that are nearly square"] == [0, 3]
    assert found["images of at most 40 pixels"] == [0, 1, 2]
    assert 3 in found["images of 130 pixels or more"]
    assert found["#sun"] == [0, 1]


def test_posts_without_any_image_or_text_can_be_divided():
    assert {name for name, chosen in members([Post("a"), Post("b")]) if chosen.all()} >= {"no image"}
    assert dict(members([Post(image=picture(9, 9))]))["no text"].all()
    members([Post(image=b"no image")])  # told when it is opened, not here


def test_the_size_is_that_of_the_upright_image():
    turned = Image.Exif()
    turned[0x0112] = 6
    assert image_size(picture(30, 20)) == (30, 20)
    assert image_size(picture(30, 20, exif=turned)) == (20, 30)
    assert image_size(Image.new("L", (7, 5))) == (7, 5)


def test_faults_are_told_where_the_interval_excludes_chance():
    right = np.ones(400, dtype=bool)
    right[:60] = False  # of the first 100, 40 are right
    first, tenth = np.arange(400) < 100, np.arange(400) < 10
    confidence = np.where(first, 0.9, 0.6)
    weak, strong = slices([("rest", ~first), ("first", first), ("tenth", tenth)], right, confidence)
    assert (weak.name, weak.posts, weak.accuracy, weak.rest) == ("first", 100, 0.4, 1.0)
    assert weak.confidence == pytest.approx(0.9)
    assert weak.faults == ["weak", "too sure"]
    assert strong.faults == ["too unsure"]
    alone = wilson(40, 100)
    assert weak.low < alone[0] < alone[1] < weak.high, "two slices are counted"
    assert slices([("all", np.ones(400, dtype=bool))], right, confidence) == []
