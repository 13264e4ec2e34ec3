"""What people have is read as it was meant; what cannot be read is named with row, reason and remedy."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import datasets
from jointune import PostsError, read_posts
from jointune.data.labels import absent
from jointune.data.post import Post, Posts
from jointune.data.read import Columns, PostsFile
from jointune.data.records import as_posts

HEADER = "text,image,label\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(path: Path, *rows: object) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def problem(post: Post) -> str:
    assert post.problem is not None
    return str(post.problem)


def test_rows_that_their_format_keeps_well_formed_are_counted_unread(tmp_path):
    (tmp_path / "folder").mkdir()
    parquet = tmp_path / "folder" / "a.parquet"
    pd.DataFrame({"text": ["a", None], "image": [None, b"large"]}).to_parquet(parquet)
    content = bytearray(parquet.read_bytes())
    content[4:60] = bytes(56)  # the rows, before the footer
    parquet.write_bytes(content)
    write(tmp_path / "folder" / "b.csv", "text,image\na,\n,b.png\n")
    file = PostsFile(tmp_path / "folder", Columns(label=None))
    assert file.count(strict=True) == 4
    with pytest.raises(PostsError, match=r"a\.parquet: damaged after row 0"):
        list(file)
    write(tmp_path / "folder" / "b.csv", "text,image\na,\n,\n")
    with pytest.raises(PostsError, match=r"b\.csv row 2 .*neither text nor picture"):
        PostsFile(tmp_path / "folder", Columns(label=None)).count(strict=True)


# What people do have


@pytest.mark.parametrize(
    "text",
    [
        "emoji 😀👩‍👩‍👧‍👦🏳️‍🌈",
        "من اليمين إلى اليسار ‏שלום",
        "long " * 20_000,
        "two\nlines",
        "two\r\nlines",
        'said "so", and; more\t|',
        "nul\0byte",
        "\u2028 separators \u0085",
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_texts_of_all_kinds_are_read_as_they_are(tmp_path, text, ending):
    frame = pd.DataFrame({"text": [text, "next"], "image": ["a.png", "b.png"], "label": ["x", "y"]})
    path = tmp_path / f"posts{ending}"
    if ending in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",", lineterminator="\n")
    elif ending == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    assert [post.text for post in read_posts(path)] == [text, "next"]


def test_windows_line_ends_and_a_byte_order_mark(tmp_path):
    for name in ("utf-8-sig", "utf-8", "UTF8", None):
        path = write(tmp_path / "posts.csv", "\ufefftext,image,label\r\nhello,a.png,x\r\n\r\nworld,b.png,y\r\n")
        posts = read_posts(path, encoding=name)
        assert [(post.text, post.label) for post in posts] == [("hello", "x"), ("world", "y")]
    path = write(
        tmp_path / "posts.jsonl", '\ufeff{"text": "hello", "image": "", "label": 1}\r\n\r\n{"text": "you"}\r\n'
    )
    assert [post.text for post in read_posts(path, encoding="utf-8")] == ["hello", "you"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_csv_separated_by_something_else(tmp_path, separator):
    rows = [["id", "text", "image", "label"], ["1", '"a, b; c"', "a.png", "x"], ["2", "d", "b.png", "y"]]
    path = write(tmp_path / "posts.csv", "".join(separator.join(row) + "\n" for row in rows))
    assert [post.text for post in read_posts(path)] == ["a, b; c", "d"]


def test_a_header_with_quotes_and_blanks(tmp_path):
    path = write(tmp_path / "posts.csv", '"text" , image ,label\nhello,a.png,x\n')
    assert PostsFile(path).columns == ["text", "image", "label"]


def test_another_encoding_by_name(tmp_path):
    path = write(tmp_path / "posts.csv", (HEADER + "Grüße €,a.png,x\n").encode("cp1252"))
    assert read_posts(path, encoding="cp1252")[0].text == "Grüße €"
    path = write(tmp_path / "posts.csv", (HEADER + "Grüße €,a.png,x\n").encode("utf-16"))
    assert read_posts(path, encoding="utf-16")[0].text == "Grüße €"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1, 2], ["1", "2"]),
        ([True, False], ["True", "False"]),
        ([1.0, 2.5], ["1", "2.5"]),
        ([3.0, None], ["3", None]),
        ([" a ", ""], ["a", None]),
    ],
)
def test_labels_that_are_no_text(tmp_path, values, labels):
    frame = pd.DataFrame({"text": ["a", "b"], "image": ["a.png", "b.png"], "label": values})
    frame.to_parquet(tmp_path / "posts.parquet")
    frame.to_csv(tmp_path / "posts.csv", index=False)
    rows = jsonl(tmp_path / "posts.jsonl", *({"text": "a", "image": "", "label": value} for value in values))
    assert read_posts(tmp_path / "posts.parquet").labels == labels
    assert read_posts(rows).labels == labels
    assert [post.label for post in as_posts(frame)] == labels
    if None not in values and 1.0 not in values:
        assert read_posts(tmp_path / "posts.csv").labels == labels


def test_empty_texts_and_pictures_are_missing_ones(tmp_path):
    path = write(tmp_path / "posts.csv", HEADER + ',a.png,x\n"  ",b.png,x\nhello,,y\nyou, ,y\n')
    posts = read_posts(path)
    assert [post.text for post in posts] == [None, None, "hello", "you"]
    assert [post.image for post in posts] == [tmp_path / "a.png", tmp_path / "b.png", None, None]


def test_duplicate_ids_are_no_matter(tmp_path):
    path = write(tmp_path / "posts.csv", "id,text,image,label\n7,a,a.png,x\n7,b,b.png,y\n7,a,a.png,x\n")
    assert [post.text for post in read_posts(path)] == ["a", "b", "a"]


def test_jsonl_with_missing_keys_and_nulls(tmp_path):
    path = jsonl(
        tmp_path / "p.jsonl", {"text": "a", "label": "x"}, {"image": "b.png"}, {"text": None, "image": "c.png"}
    )
    posts = read_posts(path)
    assert [(post.text, post.image, post.label) for post in posts] == [
        ("a", None, "x"),
        (None, tmp_path / "b.png", None),
        (None, tmp_path / "c.png", None),
    ]


def test_half_an_emoji_in_json_becomes_a_question_mark(tmp_path):
    path = write(tmp_path / "p.jsonl", '{"text": "a \\ud83d b", "image": "", "label": "l\\ude00"}\n')
    (post,) = read_posts(path)
    assert (post.text, post.label) == ("a ? b", "l?")


def test_paths_of_all_kinds(tmp_path):
    (tmp_path / "table").mkdir()
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / "schöner tag 😀.png")
    wanted = tmp_path / "pictures" / "schöner tag 😀.png"
    rows = [{"text": "", "label": "x", "image": str(path)} for path in ("../pictures/" + wanted.name, wanted)]
    for post in read_posts(jsonl(tmp_path / "table" / "posts.jsonl", *rows)):
        assert post.image.resolve() == wanted
    (post,) = read_posts(
        jsonl(tmp_path / "table" / "one.jsonl", rows[0] | {"image": wanted.name}), image_root=tmp_path / "pictures"
    )
    assert post.image == wanted


def test_python_records_and_data_frames(tmp_path):
    opened = Image.new("RGB", (4, 4))
    records = [
        {"text": "a", "image": opened, "label": np.int64(1)},
        {"text": float("nan"), "image": b"bytes", "label": np.bool_(True)},
        {"text": np.float32(2.5), "image": np.zeros((4, 4, 3), np.uint8)},
        {"text": "path", "image": Path("a.png")},
    ]
    posts = as_posts(records)
    assert [post.text for post in posts] == ["a", None, "2.5", "path"]
    assert posts.labels == ["1", "True", None, None]
    assert posts[0].image is opened
    assert posts[1].image == b"bytes"
    assert posts[2].image.size == (4, 4)
    frame = pd.DataFrame({"text": ["a", None], "image": [None, "b.png"], "label": ["x", None]}).astype("string")
    assert [(post.text, post.label, post.problem) for post in as_posts(frame)] == [("a", "x", None), (None, None, None)]
    assert [post.label for post in as_posts(frame, labels=[1, 2])] == ["1", "2"]
    gap = as_posts([{"text": pd.NA, "image": "b.png", "label": pd.NaT}])[0]
    assert (gap.text, gap.label, gap.problem) == (None, None, None)
    assert as_posts(Posts([])).labels == []


class Polars:
    """What jointune asks of a polars frame."""

    def __init__(self, rows):
        self.rows, self.columns = rows, list(rows[0])

    def to_dicts(self):
        return self.rows

    def to_dict(self):  # by column in polars
        return {name: [row[name] for row in self.rows] for name in self.columns}


def test_frames_of_polars():
    rows = [{"text": "a", "image": None, "label": "x", "split": "val"}, {"text": "b", "image": "b.png", "label": None}]
    rows[1]["split"] = None
    frames = [Polars(rows)]
    try:
        import polars as pl
    except ImportError:
        pass
    else:
        frames.append(pl.DataFrame(rows))
    for frame in frames:
        posts = as_posts(frame)
        assert [(post.text, post.image, post.label) for post in posts] == [("a", None, "x"), ("b", Path("b.png"), None)]
        assert posts[0].split == "validation"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Train", "train"),
        (" TRAINING ", "train"),
        ("val", "validation"),
        ("Valid", "validation"),
        ("dev", "validation"),
        ("Development", "validation"),
        ("TEST", "test"),
        ("testing", "test"),
        ("fold 3", "fold 3"),
        ("", None),
    ],
)
def test_splits_by_the_names_people_give_them(tmp_path, said, meant):
    path = write(tmp_path / "posts.csv", f"text,image,label,split\na,,x,{said}\n")
    posts = read_posts(path, split_column="split")
    assert posts[0].split == as_posts([{"text": "a", "split": said}])[0].split == meant
    if said:
        assert len(posts.in_split(said)) == len(posts.in_split(meant)) == 1
        assert Post("a", split=said).split == meant


def test_paths_with_backslashes(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("pictures/a.png", "odd\\name.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    names = ["pictures\\a.png", "..\\pictures\\a.png", "odd\\name.png"]
    path = jsonl(tmp_path / "p.jsonl", *({"text": "a", "image": name, "label": 1} for name in names))
    posts = read_posts(path)
    assert [post.image for post in posts] == [
        tmp_path / "pictures/a.png",
        tmp_path / "../pictures/a.png",
        tmp_path / "odd\\name.png",
    ]
    inside = read_posts(path, image_root=tmp_path)
    assert [post.problem is None for post in inside] == [True, False, True]
    assert "leads outside" in problem(inside[1])


def test_json_arrays(tmp_path):
    # Two blocks of the reader.
    rows = [{"text": f"text {number} ]}},[{{ " * 20, "image": "", "label": number % 2} for number in range(5_000)]
    path = tmp_path / "posts.json"
    for indent in (None, 2):
        path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
        posts = read_posts(path)
        assert [post.text for post in posts] == [row["text"] for row in rows]
        assert posts[1].where == "posts.json row 2"
    pd.DataFrame(rows[:3]).to_json(path, orient="records", lines=True)
    assert [post.text for post in read_posts(path)] == [row["text"] for row in rows[:3]]
    path.write_text('[{"text": "' + "long " * 600_000 + '", "label": 1}]')
    assert read_posts(path, image_column=None)[0].text == ("long " * 600_000)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "posts.json: the file is empty"),
        ('[{"text": "a"}, {"text": ', r"posts.json row 2: not an array of JSON objects from here on"),
        ('[{"text": "a"} {"text": "b"}]', r"posts.json row 1: .*no comma after the object"),
        ('[{"text": "a"}, 3]', r"posts.json row 2: the row: not a JSON object: a int where an object is needed"),
        ('{"text": {"0": "a"}, "label": {"0": 1}}', "column 'text': a dict where a text is needed"),
    ],
)
def test_json_that_is_no_array_of_objects(tmp_path, content, says):
    with pytest.raises(PostsError, match=says):
        read_posts(write(tmp_path / "posts.json", content), image_column=None, label_column=None)


def test_json_lines_by_their_other_name(tmp_path):
    path = jsonl(tmp_path / "posts.ndjson", {"text": "a", "image": "", "label": 1})
    assert read_posts(path)[0].text == "a"


# What cannot work


def refusal(path: Path | str, **options: object) -> str:
    with pytest.raises(PostsError) as caught:
        read_posts(path, **options)
    return str(caught.value)


def test_a_byte_of_another_encoding_names_the_first_bad_row(tmp_path):
    rows = "".join(f"text {number},a.png,x\n" for number in range(2000))
    good, bad = (HEADER + rows).encode(), "Grüße,a.png,x\n".encode("cp1252")
    said = refusal(write(tmp_path / "posts.csv", good + bad + bad))
    assert "posts.csv row 2001 (line 2002), column 1: byte 0xfc is not UTF-8" in said
    assert "encoding='cp1252'" in said
    # The separator is found although the bad byte stands in the same block as the header.
    said = refusal(write(tmp_path / "posts.csv", "text;image;label\na;b;c\nd;e;Grüße\n".encode("cp1252")))
    assert "row 2 (line 3), column 3: byte 0xfc is not UTF-8" in said
    said = refusal(write(tmp_path / "posts.jsonl", b'{"text": "a"}\n{"text": "\xfc"}\n'))
    assert "posts.jsonl line 2: byte 0xfc is not utf-8" in said
    assert "encoding='cp1252'" in said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["posts.csv", "posts.tsv", "posts.jsonl", "posts.json"])
def test_utf16_and_utf32_by_their_mark_or_by_name(tmp_path, name, encoding):
    rows = [{"text": text, "image": "", "label": "x"} for text in ("Grüße 😀", "zwei\nZeilen Ċ ഊ", 'so "genannt"')]
    frame = pd.DataFrame(rows)
    if name.endswith("sv"):
        frame.to_csv(tmp_path / name, index=False, encoding=encoding, sep="\t" if name == "posts.tsv" else ",")
    else:
        text = "\n".join(map(json.dumps, rows)) if name == "posts.jsonl" else json.dumps(rows, ensure_ascii=False)
        (tmp_path / name).write_bytes(text.encode(encoding))
    wanted = [row["text"] for row in rows]
    assert [post.text for post in read_posts(tmp_path / name, encoding=encoding)] == wanted
    if encoding in ("utf-16", "utf-32"):
        assert [post.text for post in read_posts(tmp_path / name)] == wanted
    else:
        said = refusal(tmp_path / name)
        assert f"{name}: the file is not UTF-8; save it as UTF-8, or try encoding={encoding!r}" in said


def test_the_advice_names_the_encoding_that_the_file_is_in(tmp_path):
    rows = "今天天气真好，我们去海边玩。,,x\n火车又晚点了，真让人生气！,,y\n"
    said = refusal(write(tmp_path / "posts.csv", (HEADER + rows).encode("gb18030")))
    assert "which is probably gb18030, such as encoding='gb18030'" in said
    assert read_posts(tmp_path / "posts.csv", encoding="gb18030")[0].text == "今天天气真好，我们去海边玩。"
    said = refusal(write(tmp_path / "posts.jsonl", '{"text": "Piękny dzień na plaży, żałuję"}\n'.encode("cp1250")))
    assert "encoding='cp1250'" in said


def test_the_wrong_encoding_by_name(tmp_path):
    path = write(tmp_path / "posts.csv", HEADER + "Grüße 😀,a.png,x\n")
    assert "posts.csv row 1 (line 2), column 1: byte 0xc3 is not ascii" in refusal(path, encoding="ascii")
    for name in ("klingon", "base64", "rot13"):
        assert "give encoding a name that Python knows" in refusal(path, encoding=name)
        assert "give encoding a name that Python knows" in refusal(jsonl(tmp_path / "p.jsonl", {}), encoding=name)


def test_malformed_rows_are_all_named(tmp_path):
    path = write(tmp_path / "posts.csv", HEADER + 'a,a.png,x\nb,b.png\n"c\nd",c.png,x\ne,e.png,x,y\n')
    said = refusal(path)
    assert "posts.csv row 2 (line 3): the row: it has 2 fields and the header 3; quote fields that contain ','" in said
    assert "posts.csv row 4 (line 6): the row: it has 4 fields and the header 3" in said
    path = write(tmp_path / "p.jsonl", '{"text": "a", "image": "", "label": 1}\n{oops\n[1, 2]\n' + "[" * 10**5 + "\n")
    said = refusal(path)
    assert "p.jsonl row 2 (line 2): the row: not a JSON object: " in said
    assert "p.jsonl row 3 (line 3): the row: not a JSON object: a list where an object is needed" in said
    assert "p.jsonl row 4 (line 4)" in said


def test_a_column_that_is_not_there(tmp_path):
    path = write(tmp_path / "posts.csv", "text,picture,label\na,b,c\n")
    said = refusal(path)
    assert "posts.csv: there is no column 'image' (there are: text, picture, label)" in said
    assert "image_column" in said
    assert "'no such'" in refusal(path, image_column="picture", split_column="no such")
    assert read_posts(path, image_column="picture")[0].image == tmp_path / "b"
    assert read_posts(path, image_column=None)[0].image is None


def test_a_column_that_is_there_twice(tmp_path):
    said = refusal(write(tmp_path / "posts.csv", "text,image,text,label\na,b,c,d\n"))
    assert "posts.csv: two columns are named 'text'; rename one" in said


@pytest.mark.parametrize("name", ["posts.csv", "posts.tsv", "posts.jsonl", "posts.parquet"])
def test_files_without_content_or_rows(tmp_path, name):
    said = refusal(write(tmp_path / name, b""))
    assert name in said
    assert "empty" in said or "not readable as Parquet" in said


def test_a_header_without_rows(tmp_path):
    assert "posts.csv: no posts" in refusal(write(tmp_path / "posts.csv", HEADER))
    pd.DataFrame({"text": [], "image": [], "label": []}).to_parquet(tmp_path / "posts.parquet")
    assert "posts.parquet: no posts" in refusal(tmp_path / "posts.parquet")


def test_files_that_are_not_there_or_not_known(tmp_path):
    assert "no such file" in refusal(tmp_path / "nowhere.csv")
    assert "the ending .xlsx is not known; use one of .csv" in refusal(write(tmp_path / "posts.xlsx", "x"))
    assert "a packed file; unpack it" in refusal(write(tmp_path / "posts.csv.gz", "x"))
    (tmp_path / "empty").mkdir()
    assert "the folder holds no .csv" in refusal(tmp_path / "empty")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights to try")
def test_a_file_that_may_not_be_read():
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        for name in ("posts.csv", "posts.jsonl"):
            path = write(folder / name, HEADER)
            path.chmod(0)
            os.seteuid(65534)
            try:
                said = refusal(path)
            finally:
                os.seteuid(0)
            assert f"{path}: not readable: Permission denied; correct" in said
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("https://example.org/a.jpg", "an address, not a path, and nothing is fetched"),
        ("  HTTP://example.org/a.jpg", "an address, not a path"),
        ("file:///home/me/a.jpg", "an address, not a path"),
        ("s3://bucket/a.jpg", "an address, not a path"),
        ("data:image/png;base64,AAAA", "an address, not a path"),
        ("a\0.jpg", "NUL"),
        (7, "a int where a picture's path is needed"),
        ([["a.jpg"]], "a list where a picture's path is needed"),
    ],
)
def test_pictures_that_are_no_paths(tmp_path, image, reason):
    path = jsonl(tmp_path / "p.jsonl", {"text": "a", "image": image, "label": 1})
    (post,) = read_posts(path)
    assert post.image is None
    assert post.problem.about_image
    assert "p.jsonl row 1 (line 1)" in problem(post)
    assert reason in problem(post)
    assert "give the path of a picture file" in problem(post)


def test_a_windows_drive_is_a_path_and_no_address(tmp_path):
    (post,) = read_posts(jsonl(tmp_path / "p.jsonl", {"text": "a", "image": "C:/a.jpg", "label": 1}))
    assert post.problem is None


def test_posts_of_no_use_even_without_their_picture_are_refused_at_once(tmp_path):
    rows = [
        {"text": "fine", "image": "", "label": "x"},
        {"text": ["a"], "image": "http://example.org", "label": "x"},
        {"text": "", "image": " ", "label": "x"},
        {"text": "a", "image": "", "label": ["x", "y"]},
        {"text": "a", "image": "", "label": {"x": 1}},
    ]
    said = refusal(jsonl(tmp_path / "p.jsonl", *rows))
    assert "4 posts of p.jsonl cannot be used" in said
    # The text counts, not the picture: --on-bad-image must not let such a post through.
    assert "row 2 (line 2): column 'text': a list where a text is needed" in said
    assert "row 3 (line 3): the post: has neither text nor picture" in said
    assert "row 4 (line 4): column 'label': a list where a label is needed" in said
    assert "row 5 (line 5): column 'label': a dict where a label is needed" in said


def test_image_root_forbids_to_leave_it(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    Image.new("RGB", (4, 4)).save(root / "in.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "out.png")
    (root / "link.png").symlink_to(tmp_path / "out.png")
    (root / "inner.png").symlink_to(root / "in.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    names = ["in.png", "inner.png", str(root / "in.png"), "sub/../in.png"]
    outside = ["../out.png", str(tmp_path / "out.png"), "link.png", "../pictures-too/a.png"]
    rows = [{"text": "a", "image": name, "label": 1} for name in [*names, *outside, "loop.png"]]
    path = jsonl(tmp_path / "p.jsonl", *rows)
    *posts, loop = read_posts(path, image_root=root)
    for post, name in zip(posts, [*names, *outside], strict=True):
        if name in names:
            assert post.problem is None, name
        else:
            assert f"{name}: leads outside image_root={str(root)!r}" in problem(post)
            assert post.image is None
    assert loop.problem is None or "a loop of symbolic links" in problem(loop)
    # Without --image-root they may.
    assert all(post.problem is None for post in read_posts(path))


def test_python_records_that_are_no_posts():
    for posts, reason in (
        ({"text": "a"}, "a single mapping"),
        (["a", "b"], "post 1: a str where a mapping"),
        ([{"text": "a"}, 3], "post 2: a int"),
    ):
        with pytest.raises(PostsError, match=reason):
            as_posts(posts)
    with pytest.raises(PostsError, match="1 labels for 2 posts"):
        as_posts([{"text": "a"}, {"text": "b"}], labels=["x"])


def test_problems_stay_on_one_line_whatever_names_hold(tmp_path):
    name = "a\nb\x1b[31m\ud83d.jpg"
    path = write(tmp_path / "p.jsonl", json.dumps({"text": "a", "image": "https://" + name, "label": 1}) + "\n")
    said = problem(read_posts(path)[0])
    assert "https://a\\nb\\x1b[31m\\ud83d.jpg" in said
    assert said.isprintable()


FIELDS = {"text": "a", "image": "a.png", "label": "x", "split": "train", "likes": 3, "language": "pt"}


def made_records(kind: str, path: Path) -> object:
    """Two posts with columns of numbers and categories, one of each missing."""
    rows = [FIELDS, FIELDS | {"likes": None, "language": None}]
    frame = pd.DataFrame(rows)
    if kind == "records":
        return rows
    if kind == "data frame":
        return frame
    if kind == "polars":
        return Polars(rows)
    if kind == "jsonl":
        return jsonl(path / "p.jsonl", *rows)
    if kind == "json":
        return write(path / "p.json", json.dumps(rows))
    if kind in ("csv", "tsv"):
        frame.to_csv(path / f"p.{kind}", index=False, sep="," if kind == "csv" else "\t")
        return path / f"p.{kind}"
    if kind == "parquet":
        frame.to_parquet(path / "p.parquet")
        return path / "p.parquet"
    made = datasets.Dataset.from_list(rows)
    if kind == "dataset":
        return made
    made.save_to_disk(path / "saved")
    return path / "saved"


@pytest.mark.parametrize(
    "kind", ["csv", "tsv", "jsonl", "json", "parquet", "saved dataset", "dataset", "records", "data frame", "polars"]
)
def test_other_columns_reach_the_fields_from_every_format(tmp_path, kind):
    first, second = read_posts(made_records(kind, tmp_path), split_column="split")
    assert first.fields.keys() == FIELDS.keys()
    assert float(first.fields["likes"]) == 3
    assert first.fields["language"] == "pt"
    assert absent(second.fields["likes"])
    assert absent(second.fields["language"])


def test_the_limit_of_csv_is_raised_for_a_long_text_and_put_back(tmp_path):
    before = csv.field_size_limit()
    path = write(tmp_path / "p.csv", HEADER + "x" * (before + 1) + ",,x\n")
    rows = iter(PostsFile(path))
    assert len(next(rows).text) == before + 1
    assert len(read_posts(path)) == 1  # a table within the time of another
    assert csv.field_size_limit() > before
    assert next(rows, None) is None
    assert csv.field_size_limit() == before


def test_names_that_the_terminal_cannot_show_are_escaped(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", {"tëxt \ud83d": "a"})
    done = subprocess.run(  # the encoding of the output is the process's own
        [sys.executable, "-m", "jointune", "check", str(path)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 1
    assert b"there is no column 'text' (there are: t\\xebxt \\ud83d)" in done.stdout, done
    assert b"Traceback" not in done.stderr
