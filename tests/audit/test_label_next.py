"""Unsure posts come first, different ones before like ones, and every post is listed once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.made_predictor import WORDS
from helpers.planted import planted
from jointune import Post, Posts, PostsError, SettingsError
from jointune.audit.label_next import label_next


def bag_of_words(batches, count, names):
    """The joint vector of a post: which words it has."""
    rows = np.zeros((count, len(WORDS) + 1), dtype=np.float32)
    for batch in batches:
        text = batch.inputs["text"]
        for index, tokens, real in zip(batch.indices, text["input_ids"], text["attention_mask"], strict=True):
            rows[index, tokens[real > 0]] = 1
    return dict.fromkeys(names, rows)


def ordered(*texts):
    """What is to be labelled next, by a model that is sure where it reads ``good``."""
    return label_next(planted(vectors=bag_of_words), Posts(map(Post, texts), "new"))


def test_unsure_posts_that_differ_come_first():
    found = ordered("good lunch", "sun", "sun", "rain", "sun rain", "good sun")
    texts = [one.post.text for one in found]
    assert texts[:4] == ["sun", "rain", "good lunch", "sun rain"]
    assert texts[-1] == "sun", "the same once more tells nothing"
    margins = {one.post.text: one.margin for one in found}
    assert margins["sun"] == pytest.approx(0, abs=1e-6)
    assert margins["good sun"] == pytest.approx(0.68, abs=0.01)
    assert {one.post.text: one.answer for one in found}["good lunch"] == "positive"


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), min_size=1, max_size=20))
def test_every_post_is_listed_once_and_an_unsure_one_first(texts):
    found = ordered(*texts)
    assert sorted(one.post.text for one in found) == sorted(texts)
    assert found[0].margin == min(one.margin for one in found)
    assert all(0 <= one.margin <= 1 for one in found)


def test_posts_beyond_the_candidates_follow_by_their_margins():
    found = ordered(*["sun", "rain"] * 500, *["good good"] * 5, "lunch")
    assert len(found) == 1006
    assert [one.post.text for one in found[:2]] == ["sun", "rain"]
    assert [one.post.text for one in found[-5:]] == ["good good"] * 5


def test_bad_input_is_refused():
    with pytest.raises(PostsError, match="no post is left"):
        label_next(planted(vectors=bag_of_words), Posts([], "new"))
    with pytest.raises(SettingsError, match="no such vector"):
        label_next(planted(), Posts([Post("sun")], "new"))
