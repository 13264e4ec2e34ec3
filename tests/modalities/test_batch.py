"""Posts to arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from jointune.data.post import Post, Posts
from jointune.data.records import as_posts
from jointune.errors import OutputError, PostsError
from jointune.modalities.batch import Batch, split_batch
from jointune.modalities.fields.columns import FieldsPreprocessor
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.image.store import ImageRows, ImageStore, store_images
from jointune.modalities.rows import Rows
from jointune.modalities.text.tokens import TextPreprocessor, TextRows, Tokens
from jointune.training.training_set import TrainingSet
from jointune.utils.progress import QuietBar
from jointune.utils.threads import prefetch

SQUARE = ImagePreprocessor(size=(8, 8), resize=(10, 10))


def text_preprocessor(**settings):
    tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    tokenizer.pre_tokenizer = Whitespace()
    return TextPreprocessor(tokenizer, 32, **settings)


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 3000), height=st.integers(1, 40), fit=st.sampled_from(["crop", "squash"]))
def test_a_picture_of_any_shape_becomes_the_same_size(width, height, fit):
    preprocessor = ImagePreprocessor((8, 8), (10, 10), fit)
    for size in ((width, height), (height, width)):
        pixels = preprocessor.prepare(Image.new("RGB", size, (200, 100, 50)))
        assert pixels.shape == (10, 10, 3)
        assert preprocessor.crop(pixels).shape == (8, 8, 3)
        assert (np.abs(pixels.astype(int) - (200, 100, 50)) <= 1).all()


def test_the_centre_is_kept_and_the_aspect_ratio_too():
    picture = Image.new("RGB", (300, 100), "blue")
    picture.paste("red", (100, 0, 200, 100))
    assert (SQUARE.prepare(picture)[:, 1:-1] == (255, 0, 0)).all()
    squashed = ImagePreprocessor((10, 10), (10, 10), "squash").prepare(picture)
    assert (squashed[:, 0] == (0, 0, 255)).all()


def test_the_crop_moves_from_corner_to_corner():
    pixels = np.arange(300).reshape(10, 10, 3)
    np.testing.assert_array_equal(SQUARE.crop(pixels, (0, 0)), pixels[:8, :8])
    np.testing.assert_array_equal(SQUARE.crop(pixels, (1, 1)), pixels[2:, 2:])
    np.testing.assert_array_equal(SQUARE.crop(pixels), pixels[1:9, 1:9])


def test_a_preprocessor_survives_json():
    import json

    assert ImagePreprocessor.from_config(json.loads(json.dumps(SQUARE.config()))) == SQUARE


def pictures(folder, colours):
    rows = []
    for number, colour in enumerate(colours):
        if colour:
            Image.new("RGB", (12, 12), colour).save(folder / f"{number}.png")
        rows.append({"text": f"text {number}", "image": str(folder / f"{number}.png") if colour else None})
    return rows


def test_the_store_gives_each_post_its_own_picture_and_each_file_once(tmp_path):
    rows = pictures(tmp_path, ["red", None, "lime", "blue"])
    posts = as_posts([*rows, rows[2], rows[0]])
    store = ImageStore((10, 10, 3))
    kept, places, problems = store_images(posts, SQUARE, store, "error", QuietBar())
    assert len(kept) == 6
    assert problems == []
    assert places[4] == places[2]
    assert places[5] == places[0]
    assert places[1] == ()
    colours = [[tuple(store[place][5, 5]) for place in own] for own in places]
    assert colours == [[(255, 0, 0)], [], [(0, 255, 0)], [(0, 0, 255)], [(0, 255, 0)], [(255, 0, 0)]]
    with pytest.raises(IndexError):
        _ = store[3]


@pytest.mark.parametrize("policy", ["error", "skip", "missing"])
def test_a_bad_picture_shared_by_two_posts_is_named_for_both(tmp_path, policy):
    rows = pictures(tmp_path, ["red", "lime"])
    (tmp_path / "1.png").write_bytes(b"not a picture")
    posts = as_posts([rows[1], rows[0], rows[1]])
    store = ImageStore((10, 10, 3))
    if policy == "error":
        with pytest.raises(PostsError, match=r"(?s)2 posts.*post 1:.*post 3:"):
            store_images(posts, SQUARE, store, policy, QuietBar())
        return
    kept, places, problems = store_images(posts, SQUARE, store, policy, QuietBar())
    assert [problem.where for problem in problems] == ["post 1", "post 3"]
    assert [post.text for post in kept] == (["text 0"] if policy == "skip" else ["text 1", "text 0", "text 1"])
    assert places == ([(0,)] if policy == "skip" else [(), (0,), ()])


def test_a_full_disk_is_one_clear_error():
    store = ImageStore((10, 10, 3))
    store._file.close()
    store._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with store._file, pytest.raises(OutputError, match="no room for the resized pictures"):
        store.append(np.zeros((10, 10, 3), dtype=np.uint8), b"any")


def training_set(count):
    store = ImageStore((10, 10, 3))
    random = np.random.default_rng(0)
    places = [(store.append(random.integers(0, 256, (10, 10, 3), dtype=np.uint8), b"%d" % n),) for n in range(count)]
    posts = Posts(Post("a " * random.integers(1, 30)) for _ in range(count))
    rows = {"text": TextRows(posts, text_preprocessor()), "image": ImageRows(places, SQUARE, store)}
    return TrainingSet(rows, np.arange(count) % 3)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 300), batch_size=st.integers(1, 40), seed=st.integers(0, 99))
def test_an_epoch_holds_every_post_once(count, batch_size, seed):
    training = training_set(count)
    batches = training.epoch_order(batch_size, seed, 0)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert all(len(batch) <= batch_size for batch in batches)
    assert all(np.array_equal(a, b) for a, b in zip(batches, training.epoch_order(batch_size, seed, 0), strict=True))
    scored = np.concatenate([batch.indices for batch in training.in_order(batch_size)])
    assert sorted(scored) == list(range(count))


def test_epochs_differ_and_padding_is_saved():
    training = training_set(256)
    first, second = (np.concatenate(training.epoch_order(16, 0, epoch)) for epoch in (0, 1))
    assert not np.array_equal(first, second)
    lengths = training.rows["text"].lengths
    padded = sum(lengths[batch].max() * len(batch) for batch in training.epoch_order(16, 0, 0))
    assert padded < 1.15 * lengths.sum()


def test_modality_dropout_leaves_out_one_at_most_and_as_often_as_asked():
    training = training_set(256)
    present = np.concatenate(
        [training.training_batch(np.arange(256), 0, step, 0.4, True).present for step in range(20)]
    )
    assert present.any(1).all()
    assert (~present.all(1)).mean() == pytest.approx(0.4, abs=0.03)
    assert (~present[:, 0]).mean() == pytest.approx(0.2, abs=0.03)
    assert training.training_batch(np.arange(256), 0, 0, 0.0, True).present.all()


def test_of_three_modalities_every_subset_is_hidden_equally_often():
    fields = FieldsPreprocessor({"likes": {"mean": 0.0, "std": 1.0, "edges": []}}, {})
    training = training_set(256)
    three = TrainingSet(training.rows | {"fields": Rows([np.zeros(2, np.float32)] * 256, fields)}, training.labels)
    present = np.concatenate([three.training_batch(np.arange(256), 0, step, 0.6, True).present for step in range(40)])
    patterns, counts = np.unique(present, axis=0, return_counts=True)
    assert len(patterns) == 7, "all three, and every subset but the empty one"
    shares = dict(zip(map(tuple, patterns.tolist()), counts / len(present), strict=True))
    assert shares.pop((True, True, True)) == pytest.approx(0.4, abs=0.02)
    assert list(shares.values()) == pytest.approx([0.1] * 6, abs=0.015)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_a_divided_batch_keeps_each_posts_rows(size):
    present = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1]], dtype=bool)
    ids = np.array([[1, 0, 0], [2, 2, 0], [3, 3, 3]])
    inputs = {"text": {"input_ids": ids, "attention_mask": (ids > 0) * 1}, "image": {"pixels": np.array([10, 11, 12])}}
    batch = Batch(np.arange(5)[::-1], present, inputs)
    texts, images, indices = [], [], []
    for part in split_batch(batch, size, {"text": text_preprocessor(), "image": SQUARE}):
        assert len(part.present) == len(part.indices) <= size
        if "text" in part.inputs:
            assert part.inputs["text"]["input_ids"].any(0).all(), "padding that no row needs is cut"
            texts += [row[row > 0].tolist() for row in part.inputs["text"]["input_ids"]]
        images += part.inputs["image"]["pixels"].tolist() if "image" in part.inputs else []
        indices += part.indices.tolist()
    assert texts == [[1], [2, 2], [3, 3, 3]]
    assert images == [10, 11, 12]
    assert indices == [4, 3, 2, 1, 0]
    fixed = split_batch(batch, size, {"text": text_preprocessor(fixed_length=True), "image": SQUARE})
    assert {part.inputs["text"]["input_ids"].shape[1] for part in fixed if "text" in part.inputs} == {3}


def test_texts_are_padded_and_masked():
    batch = text_preprocessor().collate([Tokens(np.array([5, 6])), Tokens(np.array([7, 8, 9]))])
    assert batch["input_ids"].tolist() == [[5, 6, 0], [7, 8, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


def test_prefetch_keeps_order_hands_on_errors_and_stops_early():
    assert list(prefetch(range(100))) == list(range(100))

    def failing():
        yield 1
        raise ValueError("in the thread")

    items = prefetch(failing())
    assert next(items) == 1
    with pytest.raises(ValueError, match="in the thread"):
        next(items)

    made = []

    def endless():
        number = 0
        while True:
            made.append(number)
            yield number
            number += 1

    for item in prefetch(endless(), ahead=2):
        if item == 5:
            break
    assert len(made) <= 10


def test_a_picture_without_text_is_nothing_without_its_picture(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    posts = as_posts([{"image": tmp_path / "bad.png"}, {"text": "good", "image": tmp_path / "bad.png"}])
    with pytest.raises(PostsError, match=r"post 1: .*bad.png.*\n\(on_bad_image='skip'"):
        store_images(posts, SQUARE, ImageStore((10, 10, 3)), "missing", QuietBar())
    kept, _, _ = store_images(posts, SQUARE, ImageStore((10, 10, 3)), "skip", QuietBar())
    assert len(kept) == 0
