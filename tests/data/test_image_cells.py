"""A cell names one image or several; every other content is named with row, image and reason."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from conftest import write_rows
from jointune import PostsError, read_posts
from jointune.data.fingerprints import LearnedPosts, digests, posts_digest
from jointune.data.image_file import image_digest
from jointune.data.post import Post, Posts
from jointune.data.split import identity_groups


def read(tmp_path, cell, **columns) -> list[object]:
    (post,) = read_posts([{"text": "a", "image": cell}], image_root=tmp_path, **columns)
    return (
        [post.problem] if post.problem else [image.name if isinstance(image, Path) else image for image in post.images]
    )


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("a.png", ["a.png"]),
        ('["a.png", "b.png"]', ["a.png", "b.png"]),
        ("[]", []),
        ('["a.png", null, ""]', ["a.png"]),
        ("a.png;b.png", ["a.png", "b.png"]),
        (" a.png ; b.png ;", ["a.png", "b.png"]),
        (["a.png", "b.png"], ["a.png", "b.png"]),
        (("a.png",), ["a.png"]),
        ([], []),
        (np.array(["a.png", "b.png"]), ["a.png", "b.png"]),
        (np.array(["a.png", None], dtype=object), ["a.png"]),
        ([{"path": "a.png", "bytes": None}, {"bytes": b"x", "path": "b.png"}], ["a.png", b"x"]),
        ([b"x", b"y"], [b"x", b"y"]),
        ("[1].png", ["[1].png"]),
        (None, []),
    ],
)
def test_a_cell_may_name_several_images(tmp_path, cell, names):
    assert read(tmp_path, cell) == names


@pytest.mark.parametrize("name", ["a;b.png", '["a.png"]', "[x]"])
def test_a_file_that_has_the_whole_as_its_name_wins(tmp_path, name):
    (tmp_path / name).touch()
    assert read(tmp_path, name) == [name]


def test_arrays_of_pixels_are_images(tmp_path):
    assert [image.size for image in read(tmp_path, np.zeros((5, 4, 3), np.uint8))] == [(4, 5)]
    assert [image.size for image in read(tmp_path, np.zeros((2, 5, 4, 3), np.uint8))] == [(4, 5)] * 2
    assert len(read(tmp_path, [Image.new("RGB", (1, 1))] * 3)) == 3


@pytest.mark.parametrize(
    ("cell", "what", "reason"),
    [
        ('["a.png", "b.png"', '["a.png", "b.png"', "it begins as a JSON list, and is none"),
        ("[a.png, b.png]", "[a.png, b.png]", "it begins as a JSON list, and is none"),
        ("[" * 3000 + "]" * 3000, "[[[", "it begins as a JSON list, and is none"),
        (["a.png", 7], "picture 2 of 2, 7", "a int where a picture's path is needed"),
        ([["a.png"]], "['a.png']", "a list where a picture's path is needed"),
        ('["a.png", {"b": 1}, 3]', "picture 3 of 3, 3", "a int where"),
        ("a.png;../b.png;c.png", "picture 2 of 3, ../b.png", "leads outside"),
        (["a.png", "x\0y", "\0"], "picture 2 of 3, x", "a NUL character (nor can 1 other picture of it be used)"),
        (["a.png", "https://example.org/b.png"], "picture 2 of 2, https://example.org/b.png", "an address, not a path"),
        ("https://example.org/a;1.png; https://example.org/b.png", "picture 1 of 2", "(nor can 1 other picture"),
        ({"a": 1}.keys(), "dict_keys", "a dict_keys where a picture's path is needed"),
    ],
)
def test_what_names_no_image_is_named(tmp_path, cell, what, reason):
    (problem,) = read(tmp_path, cell)
    assert what in problem.what
    assert reason in problem.reason
    assert problem.about_image
    assert problem.where == "post 1"


def test_the_other_images_of_a_post_are_kept(tmp_path):
    (post,) = read_posts([{"image": ["a.png", 7, "b.png"]}], image_root=tmp_path)
    assert [image.name for image in post.images] == ["a.png", "b.png"]


def test_columns_are_read_in_their_order(tmp_path):
    table = write_rows(
        tmp_path / "posts.csv", [{"text": "t", "b": "3.png", "a": "1.png;2.png"}, {"text": "t", "b": "", "a": ""}]
    )
    first, second = read_posts(table, image_column="a, b", label_column=None)
    assert [image.name for image in first.images] == ["1.png", "2.png", "3.png"]
    assert second.image is None
    with pytest.raises(PostsError, match=r"there is no column 'c' \(there are: text, b, a\)"):
        read_posts(table, image_column="a,c", label_column=None)
    named = write_rows(tmp_path / "comma.csv", [{"text": "t", "a,b": "4.png", "a": "1.png", "b": "3.png"}])
    assert [image.name for image in read_posts(named, image_column="a,b", label_column=None)[0].images] == ["4.png"]
    records = [{"text": "t", "a": "1.png", "b": ["2.png"]}]
    assert len(read_posts(records, image_column="a,b")[0].images) == 2
    with pytest.raises(PostsError, match="no column 'c'"):
        read_posts(records, image_column="a,c")


def test_parquet_holds_lists_of_images(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    import pyarrow.parquet as pq

    cells = [[{"bytes": b"x", "path": None}, {"bytes": b"y", "path": None}], [], None]
    pq.write_table(pa.table({"text": ["a", "b", "c"], "image": cells}), tmp_path / "posts.parquet")
    posts = read_posts(tmp_path / "posts.parquet", label_column=None)
    assert [post.images for post in posts] == [(b"x", b"y"), (), ()]


def test_a_dataset_holds_lists_of_images(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra datasets is not installed")
    features = {"text": datasets.Value("string"), "image": datasets.Sequence(datasets.Image())}
    cells = [[{"bytes": b"no picture", "path": None}] * 2, []]
    made = datasets.Dataset.from_dict({"text": ["a", "b"], "image": cells}, features=datasets.Features(features))
    made.save_to_disk(tmp_path / "saved")
    for source in (made, tmp_path / "saved"):
        assert [post.images for post in read_posts(source, label_column=None)] == [(b"no picture",) * 2, ()]


def test_a_post_holds_one_image_or_several():
    assert Post("a", [b"x"]) == Post("a", b"x") == Post("a", (b"x",))
    assert Post("a", []) == Post("a", None) == Post("a")
    assert (Post("a", [b"x", b"y"]).images, Post("a", b"x").images, Post("a").images) == ((b"x", b"y"), (b"x",), ())
    assert "image=<1 bytes>, <1 bytes>" in repr(Post("a", [b"x", b"y"]))
    assert Post("a", [b"x" * 1000] * 3).nbytes > 3000


@given(st.lists(st.text(), max_size=4))
def test_any_list_is_read_or_named(names):
    for cell in (names, json.dumps(names), ";".join(names)):
        (post,) = read_posts([{"text": "a", "image": cell}])
        assert post.problem is None or post.problem.about_image


def test_posts_that_share_any_image_belong_together(tmp_path):
    for name in "abc":
        Image.new("RGB", (4, 4), {"a": "red", "b": "blue", "c": "green"}[name]).save(tmp_path / f"{name}.png")
    a, b, c = (tmp_path / f"{name}.png" for name in "abc")
    posts = Posts([Post("1", [a, b]), Post("2", b.read_bytes()), Post("3", c), Post("4", [c, a])])
    assert len(set(identity_groups(posts))) == 1
    assert len(set(identity_groups(posts.take([0, 1, 2])))) == 2
    learned = LearnedPosts.of([digests(Post("1"), [image_digest(a), image_digest(b)])], [])
    known = learned.known([Post("1", [b, a]), Post("1", [a, c]), Post("9", [c])])
    assert known.tolist() == [3, 1, 0]
    assert posts_digest(Posts([Post("1", [a, b])])) != posts_digest(Posts([Post("1", a)]))
