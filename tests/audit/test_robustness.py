"""Changes change what they say, the same each time; the loss is that of the changed posts."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.planted import RED, patch, planted
from jointune import Post, Posts, PostsError
from jointune.audit.robustness import MOST, losses, misspell
from jointune.modalities.text.normalise import without_emoji


@given(st.text(), st.integers(0, 99))
def test_any_text_can_be_misspelled(text, seed):
    changed, again = (misspell(text, np.random.default_rng(seed)) for _ in range(2))
    assert changed == again
    assert abs(len(changed) - len(text)) <= len(text.split())


def test_a_fifth_of_the_words_is_misspelled_and_nothing_else():
    text = " ".join(["wonderful"] * 1000) + " http://example.org/wonderful @wonderful #wonderful so"
    changed = misspell(text, np.random.default_rng(0)).split()
    assert changed[1000:] == ["http://example.org/wonderful", "@wonderful", "#wonderful", "so"]
    wrong = [word for word in changed[:1000] if word != "wonderful"]
    assert 130 < len(wrong) < 260  # two like letters may change places
    assert all(word[0] == "w" and word[-1] == "l" for word in wrong)


def test_emoji_are_lost_with_what_joins_them():
    assert without_emoji("so 👩\u200d👩\u200d👧 good ☀\ufe0f!") == "so  good !"
    assert without_emoji("हमारे \u200d") == "हमारे \u200d"


def posts(count=60):
    """Of three in a row, the answer to one hangs on the word, to one on the image, and to one on neither."""
    red = Image.fromarray(np.full((35, 35, 3), RED, dtype=np.uint8))
    plain = Image.fromarray(patch(0, 0) * 0)
    kinds = [("good", plain, "positive"), ("sun 😀", red, "positive"), ("rain", plain, "negative")]
    made = []
    for number in range(count):
        text, image, label = kinds[number % 3]
        own = image.copy()
        own.putpixel((0, 0), (0, 0, number % 256))  # posts that share an image would count as one
        made.append(Post(f"{text} {number}", own, label))
    return Posts(made, "made")


def found_in(some, **arguments):
    predictor = planted(weights=(3.0, 3.0))
    answers = np.stack([one.probabilities for one in predictor.stream(some)])
    return {one.change: one for one in losses(predictor, some, answers, **arguments)}


def test_what_the_model_needs_is_lost():
    found = found_in(posts())
    assert list(found) == [
        "one in five words misspelled",
        "no emoji",
        "JPEG of quality 10",
        "image blurred by 1 % of its side",
        "image cropped to 80 % of each side",
        "another post's image",
    ]
    spelled = found["one in five words misspelled"]
    assert spelled.accuracy == 1
    assert spelled.posts < 30, "only posts whose text was changed are counted"
    assert 0 < spelled.lost.value < 1, "the word of some of them is rain"
    assert found["no emoji"].posts == 20
    assert found["no emoji"].lost.value == 0
    assert not found["no emoji"].distinguishable
    swapped = found["another post's image"]
    assert swapped.posts == 60
    assert swapped.lost.low <= swapped.lost.value <= swapped.lost.high
    assert swapped.lost.value == pytest.approx(1 / 3)
    assert swapped.distinguishable
    assert found["image cropped to 80 % of each side"].lost.value == 0


def test_the_seed_draws_posts_and_changes():
    many = Posts([replace(post, text=f"wonderful lovely {post.text}", image=None) for post in posts(3 * MOST)], "made")
    first, again, other = (found_in(many, seed=seed) for seed in (0, 0, 1))
    spelled = "one in five words misspelled"
    assert first[spelled].posts == MOST
    assert list(first) == [spelled, "no emoji"], "no post has an image"
    assert first[spelled].lost == again[spelled].lost
    assert first[spelled].accuracy != other[spelled].accuracy or first[spelled].lost != other[spelled].lost


def test_without_posts_nothing_is_lost():
    assert losses(planted(), Posts([]), np.zeros((0, 3))) == []


def test_an_image_that_is_gone_is_told(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (35, 35), "red").save(path)
    some = Posts([replace(post, image=path, where=f"row {n}") for n, post in enumerate(posts(6))], "made")
    predictor = planted()
    answers = np.stack([one.probabilities for one in predictor.stream(some)])
    path.unlink()
    with pytest.raises(PostsError, match=re.escape("red.png")):
        losses(predictor, some, answers)
    assert losses(predictor, some, answers, policy="missing")
