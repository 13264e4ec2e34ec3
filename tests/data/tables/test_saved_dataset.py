"""Datasets that Hugging Face's library saved to disk."""

import pytest
from PIL import Image

import datasets
from jointune import PostsError, read_posts
from jointune.data.read import Columns, PostsFile
from jointune.data.records import as_posts
from jointune.modalities.image.open import open_image
from jointune.output.writers import added_columns, make_layout, open_writer

FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "image": datasets.Image(), "label": datasets.ClassLabel(names=["good", "bad"])}
)


def made(colours: list[str], labels: list[int | None]) -> datasets.Dataset:
    pictures = [Image.new("RGB", (4, 4), colour) for colour in colours]
    rows = {"text": [f"a {colour} one" for colour in colours], "image": pictures, "label": labels}
    return datasets.Dataset.from_dict(rows, features=FEATURES)


def test_a_single_dataset_with_pictures_and_class_labels(tmp_path):
    made(["red", "blue", "green"], [0, 1, -1]).save_to_disk(tmp_path / "saved")
    posts = read_posts(tmp_path / "saved")
    assert [post.text for post in posts] == ["a red one", "a blue one", "a green one"]
    # -1 is how datasets says that a row has no label.
    assert posts.labels == ["good", "bad", None]
    assert [open_image(post.image).getpixel((0, 0)) for post in posts][:2] == [(255, 0, 0), (0, 0, 255)]
    assert [post.where for post in posts] == ["saved row 1", "saved row 2", "saved row 3"]


def test_a_dictionary_of_datasets_fills_the_split_column(tmp_path):
    parts = {"train": made(["red", "blue"], [0, 1]), "validation": made(["green"], [1])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    posts = read_posts(tmp_path / "saved", split_column="split")
    assert [post.split for post in posts] == ["train", "train", "validation"]
    assert [post.text for post in posts.in_split("validation")] == ["a green one"]
    assert posts[2].where == "saved row 1 of validation"


def test_datasets_in_memory():
    posts = as_posts(made(["red", "blue", "green"], [0, 1, -1]))
    assert posts.labels == ["good", "bad", None]
    assert [post.text for post in posts] == ["a red one", "a blue one", "a green one"]
    assert open_image(posts[1].image).getpixel((0, 0)) == (0, 0, 255)
    posts = as_posts(datasets.DatasetDict({"train": made(["red"], [0]), "dev": made(["blue"], [1])}))
    assert [(post.split, post.label) for post in posts] == [("train", "good"), ("validation", "bad")]
    assert as_posts(made(["red", "blue"], [0, 1]).to_iterable_dataset()).labels == ["good", "bad"]


def test_class_labels_in_parquet_are_named(tmp_path):
    made(["red", "blue", "green"], [0, 1, None]).to_parquet(tmp_path / "posts.parquet")
    posts = read_posts(tmp_path / "posts.parquet")
    assert posts.labels == ["good", "bad", None]
    file = PostsFile(tmp_path / "posts.parquet", Columns(label=None))
    added = added_columns(["good"])
    out = tmp_path / "scored.parquet"
    with open_writer(out, make_layout(out, file.table, added)) as writer:
        for post in file:
            writer.write({**post.fields, **dict(zip(added, ["good", 1.0, 1.0], strict=True))})
    assert read_posts(tmp_path / "scored.parquet").labels == ["good", "bad", None]


def test_scored_rows_keep_their_pictures_in_parquet(tmp_path):
    made(["red", "blue"], [0, 1]).save_to_disk(tmp_path / "saved")
    file = PostsFile(tmp_path / "saved", Columns(label=None))
    added = added_columns(["good"])
    out = tmp_path / "scored.parquet"
    with open_writer(out, make_layout(out, file.table, added)) as writer:
        for post in file:
            writer.write({**post.fields, **dict(zip(added, ["good", 1.0, 1.0], strict=True))})
    scored = read_posts(tmp_path / "scored.parquet")
    assert scored.labels == ["good", "bad"]
    assert [open_image(post.image).getpixel((0, 0)) for post in scored] == [(255, 0, 0), (0, 0, 255)]


def test_a_damaged_dataset_is_named(tmp_path):
    made(["red"], [0]).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(PostsError, match=r"saved: not readable as a saved dataset: .*save it again"):
        read_posts(tmp_path / "saved")
