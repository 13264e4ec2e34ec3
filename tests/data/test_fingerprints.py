"""A model knows training and validation posts again, by what they say and show."""

import json

import numpy as np
import pytest
from PIL import Image

from jointune.data.fingerprints import Known, LearnedPosts, digests
from jointune.data.image_file import image_digest
from jointune.data.post import Post, RemoteImage


@pytest.fixture
def pictures(tmp_path):
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "green")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def learned(pictures) -> LearnedPosts:
    def of(text, name):
        return digests(Post(text), [image_digest(pictures / f"{name}.png")] if name else [])

    return LearnedPosts.of([of("Hello  there", "a"), of("alone", None), of(None, "a")], [of("checked", "b")])


def test_posts_are_known_by_text_and_picture(learned, pictures):
    (pictures / "copy.png").write_bytes((pictures / "a.png").read_bytes())
    (pictures / "broken.png").write_bytes(b"")
    expected = [
        (Post("hello there ", pictures / "copy.png"), Known.TRAINING),
        (Post("hello there", None), Known.TRAINING),
        (Post(None, (pictures / "a.png").read_bytes()), Known.TRAINING),
        (Post("checked", pictures / "b.png"), Known.VALIDATION),
        (Post("checked", pictures / "a.png"), Known.VALIDATION),
        (Post("another", pictures / "a.png"), Known.A_PART),
        (Post("hello there", pictures / "c.png"), Known.A_PART),
        (Post("another", pictures / "c.png"), Known.NOTHING),
        (Post("another", pictures / "broken.png"), Known.NOTHING),
        (Post(None, pictures / "gone.png"), Known.NOTHING),
        (Post("alone", RemoteImage("https://example.org/a.png")), Known.A_PART),  # nothing is fetched
    ]
    posts, states = zip(*expected, strict=True)
    assert learned.known(posts).tolist() == list(states)
    assert learned.known([]).tolist() == []


def test_it_is_kept_as_json_without_any_text(learned):
    written = json.dumps(learned.to_dict())
    assert "hello" not in written.lower()
    again = LearnedPosts.from_dict(json.loads(written))
    np.testing.assert_array_equal(again.training, learned.training)
    np.testing.assert_array_equal(again.validation, learned.validation)
    assert len(learned.training) == 3
    empty = LearnedPosts.from_dict(LearnedPosts.of([], []).to_dict())
    assert empty.known([Post("hello there")]).tolist() == [Known.NOTHING]


@pytest.mark.parametrize("values", [{}, {"training": "????", "validation": ""}, {"training": "AAA=", "validation": ""}])
def test_other_values_are_refused(values):
    with pytest.raises(ValueError, match=r"no digests|multiple"):
        LearnedPosts.from_dict(values)
