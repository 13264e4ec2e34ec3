"""Hateful Memes: the split files in their published layout, their overlap, and rows without a label."""

import json

import pytest

from conftest import draw
from jointune import PostsError
from jointune.datasets.public_sets import load_public
from jointune.errors import JointuneWarning


def memes(folder, **files):
    """``train=[(1, 0), ...]``: ids and labels of ``train.jsonl``, with a picture for each."""
    (folder / "img").mkdir(parents=True)
    for name, rows in files.items():
        lines = []
        for number, label in rows:
            row = {"id": number, "img": f"img/{number:05}.png", "label": label, "text": f"words on meme {number}"}
            lines.append(json.dumps({key: value for key, value in row.items() if value is not None}))
            draw(folder / "img" / f"{number:05}.png", "red", number)
        (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


def told(found):
    return [(post.fields["id"], post.split, post.label) for post in found.posts]


def test_labels_splits_and_pictures(tmp_path):
    folder = memes(tmp_path / "set", train=[(1, 0), (2, 1)], dev=[(3, 1)], test=[(4, None)])
    found = load_public("hateful-memes", folder)
    assert told(found) == [("1", "train", "not hateful"), ("2", "train", "hateful"), ("3", "validation", "hateful")]
    assert found.posts[0].text == "words on meme 1"
    assert found.posts[0].image == (folder / "img" / "00001.png").resolve()
    assert found.left_out == {"no label": 1}
    assert told(load_public("hateful-memes", folder, keep_unlabelled=True))[-1] == ("4", "test", None)


def test_a_meme_of_several_files_is_taken_once_with_its_label(tmp_path):
    folder = memes(
        tmp_path / "set",
        train=[(1, 0)],
        dev_seen=[(2, 0), (3, 1)],
        dev_unseen=[(3, 1), (4, 0)],
        test_seen=[(5, 1), (6, 0)],
        test=[(5, None), (6, None)],
    )
    found = load_public("hateful-memes", folder, keep_unlabelled=True)
    assert [number for number, _, _ in told(found)] == ["1", "2", "3", "4", "5", "6"]
    assert all(post.label for post in found.posts)
    assert found.left_out == {"listed before, under the same id": 3}


def test_balanced_within_each_split(tmp_path):
    folder = memes(
        tmp_path / "set", train=[(n, n % 3 == 0) for n in range(9)], dev=[(n, n % 4 == 0) for n in range(10, 18)]
    )
    for name in ("train", "dev"):
        path = folder / f"{name}.jsonl"
        path.write_text(path.read_text().replace("true", "1").replace("false", "0"))
    found = load_public("hateful-memes", folder, balanced=True)
    counts = [(post.split, post.label) for post in found.posts]
    assert {pair: counts.count(pair) for pair in counts} == {
        ("train", "hateful"): 3,
        ("train", "not hateful"): 3,
        ("validation", "hateful"): 2,
        ("validation", "not hateful"): 2,
    }


def test_a_text_that_is_empty_and_a_picture_in_another_case(tmp_path):
    folder = memes(tmp_path / "set", train=[(1, 0)])
    (folder / "img" / "00001.png").rename(folder / "img" / "00001.PNG")
    (folder / "train.jsonl").write_text('{"img": "img/00001.png", "label": "1", "text": " "}\n')
    (post,) = load_public("hateful-memes", folder).posts
    assert (post.text, post.image.name, post.label, post.fields["id"]) == (
        None,
        "00001.PNG",
        "hateful",
        "img/00001.png",
    )


def test_a_file_that_is_not_utf8(tmp_path):
    folder = memes(tmp_path / "set", train=[(1, 0)])
    row = '{"id": 1, "img": "img/00001.png", "label": 0, "text": "déjà vu, c’était"}\n'
    (folder / "train.jsonl").write_bytes(row.encode("cp1252"))
    with pytest.warns(JointuneWarning, match="1 of 1 text files are not UTF-8 and were read as cp1252") as caught:
        found = load_public("hateful-memes", folder)
    assert found.posts[0].text == "déjà vu, c’était"
    assert "déjà vu" in str(caught[0].message)


def test_rows_of_no_use_stop_or_are_skipped(tmp_path):
    folder = memes(tmp_path / "set", train=[(1, 0), (2, 1)])
    with open(folder / "train.jsonl", "a") as file:
        file.write('oops\n{"id": 4, "label": 1}\n{"id": 5, "img": "img/00001.png", "label": 7}\n')
    with pytest.raises(PostsError, match=r"row 3 \(line 3\): the row: not a JSON object.*on_missing='skip'"):
        load_public("hateful-memes", folder)
    found = load_public("hateful-memes", folder, on_missing="skip")
    assert [number for number, *_ in told(found)] == ["1", "2"]
    assert found.left_out == {"the row is malformed": 3}


def test_files_of_other_names(tmp_path):
    folder = memes(tmp_path / "set", labels=[(1, 0), (2, 1)], Val=[(3, 1)])
    found = load_public("hateful-memes", folder)
    assert told(found) == [("3", "validation", "hateful"), ("1", None, "not hateful"), ("2", None, "hateful")]
    (folder / "Val.jsonl").rename(folder / "train.jsonl")
    with pytest.warns(JointuneWarning, match=r"labels\.jsonl: no file of Hateful Memes, and not read"):
        assert len(load_public("hateful-memes", folder).posts) == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("oops", r"train.jsonl row 2 \(line 2\): the row: not a JSON object"),
        ('{"id": 2, "label": 0, "text": "a"}', r"row 2 \(line 2\): img: no picture is named"),
        ('{"id": 2, "img": 7, "label": 0, "text": "a"}', "img: no picture is named"),
        ('{"id": 2, "img": "img/00001.png", "label": 2, "text": "a"}', "label: '2' is not a label; use one of 0, 1"),
        ('{"id": 2, "img": "img/00001.png", "label": [1], "text": "a"}', r"label: '\[1\]' is not a label"),
        ('{"id": 2, "img": "img/00001.png", "label": 0, "text": ["a"]}', "text: a list where a text is needed"),
        ('{"id": 2, "img": "img/2.png", "label": 0, "text": "a"}', "img/2.png: no such file in the folder; restore it"),
        ('{"id": 2, "img": "../other/00001.png", "label": 0}', r"\.\./other/00001.png: no such file in the folder"),
        ('{"id": 2, "img": "a\\u0000/1.png", "label": 0}', "no such file in the folder"),
        ('{"id": 2, "img": "/etc/passwd", "label": 0}', "no such file in the folder"),
    ],
)
def test_what_is_wrong_with_a_row(tmp_path, row, says):
    folder = memes(tmp_path / "set", train=[(1, 0)])
    with open(folder / "train.jsonl", "a") as file:
        file.write(row + "\n")
    with pytest.raises(PostsError, match=says):
        load_public("hateful-memes", folder)


def test_a_folder_without_any_of_the_files(tmp_path):
    with pytest.raises(PostsError, match=r"there is none of train.jsonl, dev.jsonl"):
        load_public("hateful-memes", tmp_path)


def test_files_that_are_empty(tmp_path):
    with pytest.raises(PostsError, match="no posts to use"):
        load_public("hateful-memes", memes(tmp_path / "set", train=[]))
    with pytest.raises(PostsError, match="no posts to use in it; left out: no label: 1"):
        load_public("hateful-memes", memes(tmp_path / "other", test=[(1, None)]))
