"""Examples that fit the labels of a model."""

import pytest
from PIL import Image

from conftest import draw, write_rows
from jointune.errors import PostsError
from jointune.ui.examples import choose_examples


def test_a_model_of_sentiment_gets_demo_posts(tmp_path):
    found = choose_examples(["negative", "neutral", "positive"], tmp_path)
    assert [example.text for example in found][-1] == "Best parking job ever, I am amazing."
    assert len(found) == 3
    for example in found:
        with Image.open(example.image) as image:
            assert image.size == (240, 240)
    assert {example.image.parent for example in found} == {tmp_path}
    assert len(choose_examples(["Negative", "Positive"], tmp_path)) == 3


def test_a_model_of_other_labels_gets_none(tmp_path):
    assert choose_examples(["harmful", "harmless"], tmp_path) == []


def test_one_of_each_label_from_a_table(tmp_path):
    draw(tmp_path / "a.png", "red", 1)
    rows = [
        {"text": "first", "image": "a.png", "label": "harmful"},
        {"text": "second", "image": "", "label": "harmful"},
        {"text": "third", "image": "missing.png", "label": "harmless"},
        {"text": "fourth", "image": "", "label": "harmless"},
        {"text": "fifth", "image": "", "label": "of another model"},
    ]
    found = choose_examples(["harmful", "harmless"], tmp_path, write_rows(tmp_path / "posts.csv", rows))
    assert [(example.text, example.image is not None) for example in found] == [("first", True), ("fourth", False)]


def test_the_first_posts_of_a_table_without_labels(tmp_path):
    rows = [{"text": f"post {number}"} for number in range(9)]
    found = choose_examples(["a", "b"], tmp_path, write_rows(tmp_path / "posts.csv", rows))
    assert [example.text for example in found] == [f"post {number}" for number in range(6)]


def test_a_table_that_shows_nothing_is_said(tmp_path):
    table = write_rows(tmp_path / "posts.csv", [{"text": "x", "label": "z"}])
    with pytest.raises(PostsError, match=r"posts.csv: no post of it can be shown"):
        choose_examples(["a", "b"], tmp_path, table)
