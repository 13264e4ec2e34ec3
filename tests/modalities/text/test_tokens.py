"""One text or two to tokens; without text from pictures, nothing is other than the tokenizer alone makes it."""

from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer

from conftest import make_tokenizer_folder
from jointune.data.post import Post, Posts
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.image.store import ImageRows, ImageStore
from jointune.modalities.text.tokens import TextPreprocessor, TextRows
from jointune.training.training_set import TrainingSet

CLS, SEP, GOOD, BAD, LUNCH = 2, 3, 5, 6, 11
ALL = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture
def text(tmp_path):
    make_tokenizer_folder(tmp_path)
    return TextPreprocessor(Tokenizer.from_file(str(tmp_path / "tokenizer.json")), 12, inputs=ALL)


def test_without_second_segments_tokens_are_the_tokenizers_own(text):
    texts = ["good lunch", "", "bad " * 50]
    rows = text.encode(texts)
    for given, row in zip(texts, rows, strict=True):
        assert row.ids.dtype == np.int32
        assert row.ids.tolist() == text.tokenizer.encode(given).ids
        assert row.types is None
    assert [len(row) for row in rows] == [4, 2, 12]
    batch = text.collate(rows)
    assert not batch["token_type_ids"].any()
    assert {name: values.shape for name, values in batch.items()} == dict.fromkeys(ALL, (3, 12))


def test_the_second_segment_has_its_own_type(text):
    rows = text.encode(["good", "", "good"], ["bad lunch", "bad", None])
    assert rows[0].ids.tolist() == [CLS, GOOD, SEP, BAD, LUNCH, SEP]
    assert rows[1].ids.tolist() == [CLS, SEP, BAD, SEP]
    assert rows[2].types is None
    batch = text.collate(rows)
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0] * 6]
    assert batch["attention_mask"].sum(1).tolist() == [6, 4, 3]


@pytest.mark.parametrize(
    ("own", "other", "kept"), [(3, 100, 3), (100, 3, 6), (100, 100, 4), (1, 1, 1), (0, 100, 0), (100, 0, 10)]
)
def test_neither_segment_pushes_the_other_out(text, own, other, kept):
    (row,) = text.encode(["good " * own], ["bad " * other])
    assert len(row) <= 12
    assert (row.ids == GOOD).sum() == min(own, kept if other else 9)
    assert (row.ids == BAD).sum() == min(other, 12 - 3 - min(own, kept)) or other == 0


def test_a_text_in_the_picture_is_a_text(text):
    posts = [
        Post("good", "a.png", image_text="bad"),
        Post(None, "a.png", image_text="bad"),
        Post("good", "a.png", image_text=""),
        Post(None, "a.png", image_text=""),
        Post("good"),
        Post(None, "a.png"),
    ]
    ids = [None if row is None else row.ids.tolist() for row in replace(text, with_image_text=True).rows(posts)]
    alone = [CLS, GOOD, SEP]
    assert ids == [[CLS, GOOD, SEP, BAD, SEP], [CLS, SEP, BAD, SEP], alone, None, alone, None]
    ids = [None if row is None else row.ids.tolist() for row in text.rows(posts)]
    assert ids == [alone, None, alone, None, alone, None]


def made_of(posts, text, with_image_text):
    store = ImageStore((8, 8, 3))
    grey = store.append(np.full((8, 8, 3), 7, dtype=np.uint8), b"grey")
    places = [() if post.image is None else (grey,) for post in posts]
    rows = {
        "text": TextRows(posts, replace(text, with_image_text=with_image_text)),
        "image": ImageRows(places, ImagePreprocessor((8, 8), (8, 8)), store),
    }
    return TrainingSet(rows, np.zeros(len(posts), dtype=np.int64))


def test_the_text_in_a_picture_is_hidden_with_the_picture(text):
    posts = Posts([Post("good", "a.png", image_text="bad"), Post(None, "a.png", image_text="bad"), Post("good")])
    training = made_of(posts, text, True)
    seen = {0: set(), 1: set(), 2: set()}
    for step in range(60):
        for number in seen:
            batch = training.training_batch(np.array([number]), 0, step, 0.5, True)
            ids = tuple(batch.inputs["text"]["input_ids"][0].tolist()) if "text" in batch.inputs else None
            seen[number].add((ids, "image" in batch.inputs))
    assert seen[0] == {((CLS, GOOD, SEP, BAD, SEP), True), ((CLS, SEP, BAD, SEP), True), ((CLS, GOOD, SEP), False)}
    assert seen[1] == {((CLS, SEP, BAD, SEP), True)}
    assert seen[2] == {((CLS, GOOD, SEP), False)}


def test_where_no_picture_holds_text_batches_are_the_same_to_the_bit(text):
    posts = Posts(
        Post(None if number % 5 == 0 else "good " * (number % 9), "a.png" if number % 4 else None, image_text="")
        for number in range(100)
    )
    plain, read = made_of(posts, text, False), made_of(posts, text, True)
    for step in range(5):
        ours, theirs = (one.training_batch(np.arange(100), 0, step, 0.4, True) for one in (plain, read))
        np.testing.assert_array_equal(ours.present, theirs.present)
        assert ours.inputs.keys() == theirs.inputs.keys() == {"text", "image"}
        for modality, arrays in ours.inputs.items():
            assert arrays.keys() == theirs.inputs[modality].keys()
            for name, values in arrays.items():
                np.testing.assert_array_equal(values, theirs.inputs[modality][name])
