"""Folders of pictures by label: with and without splits, texts beside pictures, and what does not belong."""

import pytest

from conftest import draw
from jointune import PostsError
from jointune.posts.public.choice import load_public


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
    with pytest.raises(PostsError, match=r"the set: a/2\.jpg: no such file in the folder; .* --on-missing skip"):
        load_public("folders", folder)
    assert load_public("folders", folder, on_missing="skip").left_out == {"text or picture is missing": 1}


def test_a_text_that_is_not_utf8(tmp_path):
    folder = tree(tmp_path / "set", "a/1.jpg")
    (folder / "a" / "1.txt").write_bytes("déjà".encode("latin-1"))
    found = load_public("folders", folder)
    assert found.posts[0].text == "déjà"
    assert found.remarks == {"text is not UTF-8 and was read as Latin-1": 1}


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
