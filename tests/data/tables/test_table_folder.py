"""A folder of tables is one table."""

import json

import pandas as pd
import pytest

from jointune import PostsError, read_posts


def test_tables_of_all_formats_in_the_order_of_their_names(tmp_path):
    pd.DataFrame({"text": ["b"], "image": ["b.png"], "label": ["x"]}).to_parquet(tmp_path / "2.parquet")
    (tmp_path / "1.csv").write_text("text;image;label\na;a.png;1\n")
    (tmp_path / "3.jsonl").write_text(json.dumps({"text": "c", "label": True}) + "\n")
    (tmp_path / "4.tsv").write_text("text\textra\nd\tmore\n")
    (tmp_path / ".scored.abc.csv").write_text("half written")
    (tmp_path / "notes.txt").write_text("not posts")
    posts = read_posts(tmp_path)
    assert [post.text for post in posts] == ["a", "b", "c", "d"]
    assert posts.labels == ["1", "x", "True", None]
    assert [post.image for post in posts] == [tmp_path / "a.png", tmp_path / "b.png", None, None]
    assert [post.where for post in posts][::3] == ["1.csv row 1 (line 2)", "4.tsv row 1 (line 2)"]


def test_one_bad_file_among_them_is_named(tmp_path):
    (tmp_path / "1.csv").write_text("text,image,label\na,a.png,1\n")
    (tmp_path / "2.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(PostsError, match=r"2\.parquet: not readable as Parquet"):
        read_posts(tmp_path)


def test_a_parquet_file_damaged_in_the_middle(tmp_path):
    path = tmp_path / "posts.parquet"
    frame = pd.DataFrame({"text": [f"{number} " * 50 for number in range(3000)], "image": "a.png", "label": "x"})
    frame.to_parquet(path, compression="zstd", row_group_size=1000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(PostsError, match=r"posts\.parquet: damaged after row \d+: .*write the file again"):
        read_posts(path)


def test_pictures_as_bytes_in_parquet(tmp_path):
    frame = pd.DataFrame({"text": ["a", "b"], "image": [b"123", None], "label": [True, False]})
    frame.to_parquet(tmp_path / "posts.parquet")
    posts = read_posts(tmp_path / "posts.parquet")
    assert [post.image for post in posts] == [b"123", None]
    assert posts.labels == ["True", "False"]
