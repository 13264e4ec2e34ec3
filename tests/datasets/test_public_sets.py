"""Tables of public posts: read back as they were, with pictures found from where the table lies."""

from pathlib import Path

import pytest

from conftest import draw
from jointune.data.post import Post
from jointune.data.read import Columns, PostsFile
from jointune.datasets.public_sets import image_path, write_posts


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("split", ["train", None])
def test_what_is_written_is_read_back(tmp_path, ending, split):
    draw(tmp_path / "1.jpg", "red", 1)
    posts = [
        Post('a, "b"\n\tc\r😀', tmp_path / "1.jpg", "x", split, fields={"id": "1", "own": "o"}),
        Post(None, tmp_path / "1.jpg", None, split, fields={"id": "2", "own": None}),
    ]
    path = tmp_path / f"posts{ending}"
    write_posts(path, posts)
    back = PostsFile(path, Columns(split="split" if split else None))
    assert back.columns == ["id", "text", "image", "label", *(["split"] if split else []), "own"]
    assert [(post.text, post.image, post.label, post.split) for post in back] == [
        (post.text, post.image, post.label, post.split) for post in posts
    ]
    assert [post.fields["own"] or None for post in back] == ["o", None]


def test_pictures_below_or_beside_the_table_are_named_from_it(tmp_path):
    base = tmp_path / "work" / "tables"
    assert image_path(base / "set" / "1.jpg", base) == "set/1.jpg"
    assert image_path(base.parent / "set" / "1.jpg", base) == "../set/1.jpg"
    far = tmp_path / "elsewhere" / "1.jpg"
    assert image_path(far, base) == str(far)
    assert image_path(far, Path(tmp_path.anchor) / "tables") == str(far)
