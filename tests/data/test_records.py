"""Posts from Python: columns under any name, and what is no post at all."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

from jointune import JointClassifier, JointuneWarning, Post, PostsError, read_posts
from jointune.data.records import as_posts

TWEETS = pd.DataFrame({"tweet": ["good", "bad"] * 20, "sentiment": ["x", "y"] * 20, "photo": None})
TWEETS["tweet"] += [f" {number}" for number in range(40)]


def refusal(call, *arguments, **options):
    with pytest.raises(PostsError) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("posts", [TWEETS, TWEETS.to_dict("records")], ids=["frame", "mappings"])
def test_other_columns_are_named_in_one_line(posts, tiny_bundle):
    trained = JointClassifier.load(tiny_bundle)
    for call in (
        JointClassifier().fit,
        trained.predict,
        trained.predict_proba,
        trained.evaluate,
        trained.score,
        read_posts,
    ):
        said = refusal(call, posts)
        assert "no column 'text' and no 'image'" in said
        assert "(there are: tweet, sentiment, photo)" in said
        assert "text_column" in said
        assert "\n" not in said
        assert "--" not in said
    assert "no column 'label'" in refusal(JointClassifier().fit, [{"text": "a", "mood": "x"}])
    assert "fit(posts, labels)" in refusal(JointClassifier().fit, [{"text": "a", "mood": "x"}])
    assert "no column 'label'" in refusal(trained.evaluate, [{"text": "a", "mood": "x"}])


def test_columns_can_be_named_in_the_settings(tiny_settings, tmp_path):
    names = {"text_column": "tweet", "image_column": "photo", "label_column": "sentiment"}
    classifier = JointClassifier(**tiny_settings, **names).fit(TWEETS)
    assert (classifier.predict(TWEETS) == TWEETS.sentiment).mean() > 0.9
    assert classifier.predict_proba(TWEETS[:3]).shape == (3, 2)
    assert (
        classifier.evaluate(TWEETS).accuracy == classifier.score(TWEETS) == classifier.score(TWEETS, TWEETS.sentiment)
    )
    classifier.save(tmp_path / "bundle")
    assert (JointClassifier.load(tmp_path / "bundle").predict(TWEETS) == classifier.predict(TWEETS)).all()
    TWEETS.to_csv(tmp_path / "tweets.csv", index=False)
    assert classifier.evaluate(tmp_path / "tweets.csv").accuracy == classifier.evaluate(TWEETS).accuracy
    unlabelled = TWEETS.drop(columns="sentiment")
    unlabelled.to_csv(tmp_path / "unlabelled.csv", index=False)
    assert (classifier.predict(tmp_path / "unlabelled.csv") == classifier.predict(unlabelled)).all()


def test_columns_can_be_named_where_tools_of_scikit_learn_fit(tiny_settings):
    from sklearn.model_selection import cross_val_score

    classifier = JointClassifier(**tiny_settings, text_column="tweet", image_column=None)
    assert (cross_val_score(classifier, TWEETS, TWEETS.sentiment, cv=2, scoring="f1_macro") > 0.8).all()


@pytest.mark.parametrize("posts", [TWEETS, TWEETS.to_dict("records")], ids=["frame", "mappings"])
def test_posts_are_read_from_records_with_columns_named(posts):
    read = read_posts(posts, text_column="tweet", image_column="photo", label_column="sentiment")
    assert (len(read), read[0].text, read.labels[:2]) == (40, "good 0", ["x", "y"])
    assert read_posts(read, text_column="anything") is read
    said = refusal(read_posts, posts, text_column="twet", image_column="photo")
    assert "no column 'twet' (there are: tweet, sentiment, photo)" in said
    assert "no column 'mood'" in refusal(read_posts, posts, text_column="tweet", label_column="mood")
    assert "no column 'part'" in refusal(read_posts, posts, text_column="tweet", split_column="part")
    assert "neither text nor image" in refusal(read_posts, posts, text_column=None, image_column=None)
    assert "neither text nor picture" in refusal(read_posts, [{"text": ""}])


def test_a_column_that_may_be_meant_is_named_once():
    frame = TWEETS.rename(columns={"tweet": "text"})
    with pytest.warns(JointuneWarning, match=r"no column 'image'; columns that are not used: sentiment, photo\. Name"):
        as_posts(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_posts(frame, image_column=None)
        as_posts(frame.rename(columns={"photo": "image"}))
        as_posts([{"text": "a"}])


@pytest.mark.parametrize(
    ("posts", "reason"),
    [
        (
            "lovely day",
            "'lovely day': no such file; a text to classify is given in a list of mappings, such as [{'text': ",
        ),
        ("nowhere.csv", "nowhere.csv: no such file"),
        ("lovely", "'lovely': no such file; a text to classify"),
        (
            "lovely day. " * 100,
            "'lovely day. lovely day. lovely day. lovely day. lovely day. '...: no such file; a text",
        ),
        ("lovely\0day", "no such file"),
        (["lovely day"], "post 1: a str where a mapping is needed: give a list of mappings, such as [{'text'"),
        (np.array(["lovely day"]), "post 1: a str"),
        (pd.Series(["lovely day"]), "post 1: a str"),
        (np.zeros((3, 2)), "post 1: a ndarray where a mapping"),
        (5, "a int where posts are needed"),
        (None, "a NoneType where posts are needed"),
        (Post(text="a"), "a single post where several posts are needed: give a list"),
        ({"text": "a"}, "a single mapping where several posts"),
        (pd.DataFrame(), "no column 'text' and no 'image' (there are: none)"),
    ],
    ids=str,
)
def test_what_is_no_post(posts, reason, tiny_bundle):
    with pytest.raises(PostsError, match=re.escape(reason)):
        JointClassifier.load(tiny_bundle).predict(posts)


def test_tuning_and_comparing_read_the_named_columns_too():
    from jointune import compare, tune

    names = {"text_column": "tweet", "image_column": "photo", "label_column": "mood"}
    for call in (compare, tune):
        said = refusal(call, TWEETS, **names, text_encoder="/nowhere", image_encoder="/nowhere")
        assert "no column 'mood' (there are: tweet, sentiment, photo)" in said
