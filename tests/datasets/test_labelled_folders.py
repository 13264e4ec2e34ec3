"""Folders of pictures by label: with and without splits, texts beside pictures, and what does not belong."""

import pytest

from conftest import draw
from jointune import PostsError
from jointune.datasets.public_sets import load_public
from jointune.errors import JointuneWarning


def tree(folder, *names):
    """Pictures, and texts where a name ends in .txt."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".txt":
            path.write_text(f"words of {path.stem}\n")
        else:
            draw(path, "yellow", number)
    return folder


def told(found):
    return [(post.fields["id"], post.text, post.label, post.split) for post in found.posts]


def test_one_folder_a_label(tmp_path):
    folder = tree(tmp_path / "set", "sad/1.jpg", "sad/1.txt", "happy/b.c.PNG", "happy/b.c.TXT", "happy/a.jpeg")
    found = load_public("folders", folder)
    assert told(found) == [
        ("happy/a.jpeg", None, "happy", None),
        ("happy/b.c.PNG", "words of b.c", "happy", None),
        ("sad/1.jpg", "words of 1", "sad", None),
    ]
    assert found.posts[0].image == (folder / "happy" / "a.jpeg").resolve()
    assert not found.left_out


def test_one_folder_a_split(tmp_path):
    folder = tree(tmp_path / "set", "train/a/1.jpg", "Val/a/1.jpg", "Val/a/1.txt", "test/b/1.jpg")
    assert sorted(told(load_public("folders", folder))) == [
        ("Val/a/1.jpg", "words of 1", "a", "validation"),
        ("test/b/1.jpg", None, "b", "test"),
        ("train/a/1.jpg", None, "a", "train"),
    ]


def test_a_label_that_is_called_like_a_split(tmp_path):
    folder = tree(tmp_path / "set", "train/1.jpg", "ship/1.jpg")
    assert [(label, split) for _, _, label, split in told(load_public("folders", folder))] == [
        ("ship", None),
        ("train", None),
    ]


def test_what_is_no_post_is_counted(tmp_path):
    folder = tree(tmp_path / "set", "a/1.jpg", "a/2.txt", "loose.jpg", "readme.txt", "a/.hidden.jpg", ".cache/x/1.jpg")
    (folder / "a" / "Thumbs.db").write_bytes(b"x")
    found = load_public("folders", folder)
    assert [number for number, *_ in told(found)] == ["a/1.jpg"]
    assert found.left_out == {
        "in no label's folder": 1,
        "not named like a picture": 1,
        "a text without a picture of its name": 1,
    }
    kept = load_public("folders", folder, keep_unlabelled=True)
    assert told(kept)[0] == ("loose.jpg", None, None, None)


def test_a_link_to_nowhere_is_a_missing_picture(tmp_path):
    folder = tree(tmp_path / "set", "a/1.jpg")
    (folder / "a" / "2.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(PostsError, match=r"the set: a/2\.jpg: no such file in the folder; .* on_missing='skip'"):
        load_public("folders", folder)
    assert load_public("folders", folder, on_missing="skip").left_out == {"text or picture is missing": 1}


def texts_in(folder, texts, encoding):
    tree(folder, *(f"a/{number}.jpg" for number in range(len(texts))))
    for number, text in enumerate(texts):
        (folder / "a" / f"{number}.txt").write_bytes(text.encode(encoding))
    return folder


def test_texts_in_another_encoding_are_read_as_they_were_meant(tmp_path):
    texts = ["It can’t be better – “wow”", "I don’t like it…"] * 3
    with pytest.warns(JointuneWarning, match="6 of 6 text files are not UTF-8 and were read as cp1252") as caught:
        found = load_public("folders", texts_in(tmp_path / "set", texts, "cp1252"))
    assert [post.text for post in found.posts] == texts
    said = str(caught[0].message)
    assert "a guess: encoding names another one" in said
    assert [line.strip() for line in said.splitlines()[1:]] == [
        f"a/{number}.txt: {texts[number]}" for number in range(3)
    ]


def test_an_encoding_that_cannot_be_told_is_asked_for(tmp_path):
    folder = texts_in(tmp_path / "set", ["é", "\x81\x8d\x8f\x90\x9d\xff"], "latin-1")
    with pytest.raises(PostsError, match=r"0\.txt: not UTF-8, like 2 text files.*name their encoding \(encoding\)"):
        load_public("folders", folder)
    folder = texts_in(tmp_path / "other", ["vőlegény", "é"], "cp1250")
    with pytest.raises(PostsError, match=r"too little to tell cp1250 and .* apart") as caught:
        load_public("folders", folder)
    assert "a/0.txt: vőlegény in cp1250" in str(caught.value)
    found = load_public("folders", folder, encoding="cp1250")
    assert [post.text for post in found.posts] == ["vőlegény", "é"]


def test_an_encoding_by_name_counts_for_texts_that_are_not_utf8(tmp_path):
    folder = texts_in(tmp_path / "set", ["žluťoučký kůň", "é"], "cp1250")
    (folder / "a" / "1.txt").write_text("žluťoučký kůň", encoding="utf-8")
    found = load_public("folders", folder, encoding="cp1250")
    assert [post.text for post in found.posts] == ["žluťoučký kůň"] * 2
    with pytest.raises(PostsError, match=r"a/0\.jpg: .*0\.txt: neither UTF-8 nor ascii"):
        load_public("folders", folder, encoding="ascii")
    with pytest.raises(PostsError, match="give encoding a name that Python knows"):
        load_public("folders", folder, encoding="klingon")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    found = load_public("folders", texts_in(tmp_path / "set", ["plain", "schön 😀"], encoding))
    assert [post.text for post in found.posts] == ["plain", "schön 😀"]


def test_utf16_without_a_mark_is_not_taken_for_utf8(tmp_path):
    folder = texts_in(tmp_path / "set", ["plain words"], "utf-16-le")
    with pytest.raises(PostsError, match=r"name their encoding \(encoding\)"):
        load_public("folders", folder)
    assert load_public("folders", folder, encoding="utf-16-le").posts[0].text == "plain words"


@pytest.mark.parametrize("name", ["train", "Train", "TRAINING", "dev", "Valid", "development", "Testing"])
def test_splits_by_the_names_people_give_them(tmp_path, name):
    folder = tree(tmp_path / "set", f"{name}/a/1.jpg", "test/b/2.jpg")
    split = {"t": "train", "T": "train", "d": "validation", "V": "validation"}[name[0]]
    splits = {post.fields["id"]: post.split for post in load_public("folders", folder).posts}
    assert splits[f"{name}/a/1.jpg"] == ("test" if name == "Testing" else split)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["train/a/1.jpg", "extra/1.jpg"], "train holds the labels of a split, and extra does not; move extra"),
        (["train/a/1.jpg", "val/1.jpg"], "train holds the labels of a split, and val does not"),
        (["a/1.jpg", "a/deep/2.jpg"], "deep: a folder within that of the label 'a'"),
        (["train/a/1.jpg", "train/a/deep/2.jpg"], "deep: a folder within that of the label 'a'"),
        (["1.jpg"], "no posts to use in it; left out: in no label's folder: 1"),
        (["a/1.txt"], "no posts to use in it; left out: a text without a picture"),
    ],
)
def test_trees_that_are_none(tmp_path, names, says):
    with pytest.raises(PostsError, match=says):
        load_public("folders", tree(tmp_path / "set", *names))
