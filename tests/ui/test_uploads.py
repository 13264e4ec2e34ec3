"""Zip files of strangers."""

import zipfile

import pytest

from jointune.data.problems import Problem
from jointune.errors import PostsError
from jointune.ui.uploads import Archive


@pytest.fixture
def packed(tmp_path):
    """Packs names and contents: ``packed({"a.png": b"..."})``."""

    def pack(files, name="pictures.zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as file:
            for inside, content in files.items():
                file.writestr(inside, content)
        return tmp_path / name

    return pack


def test_files_are_found_by_their_path(packed):
    with Archive(packed({"a.png": b"1", "folder/b.png": b"2", "./c.png": b"3"})) as pictures:
        assert pictures.read("a.png", "row 1") == b"1"
        assert pictures.read(" folder\\b.png", "row 1") == b"2"
        assert pictures.read("./folder//b.png", "row 1") == b"2"
        assert pictures.read("c.png", "row 1") == b"3"


def test_nothing_but_the_zip_is_read(packed, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    with Archive(packed({"a.png": b"1"})) as pictures:
        for name in ("secret.png", "../secret.png", str(tmp_path / "secret.png"), "a.png/../../secret.png", "folder/"):
            found = pictures.read(name, "row 1")
            assert isinstance(found, Problem), name
            assert "not in the zip file" in found.reason


def test_nothing_is_written(packed, tmp_path):
    path = packed({"../../outside.png": b"1", "/absolute.png": b"2", "a.png": b"3"})
    before = sorted(tmp_path.parent.rglob("*"))
    with Archive(path) as pictures:
        pictures.read("a.png", "row 1")
        pictures.read("../../outside.png", "row 2")
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_no_more_is_unpacked_than_a_picture_may_have(packed):
    path = packed({"bomb.png": bytes(2**24), "fits.png": bytes(2**20)})
    with Archive(path, max_image_bytes=2**20) as pictures:
        assert "larger than 1 MB" in pictures.read("bomb.png", "row 1").reason
        assert len(pictures.read("fits.png", "row 2")) == 2**20


def test_too_many_files_are_refused(packed):
    with pytest.raises(PostsError, match="more than 2 files"):
        Archive(packed({"a": b"", "b": b"", "c": b""}), max_entries=2)


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(PostsError, match=r"a\.zip: not a zip file"):
        Archive(tmp_path / "a.zip")


def test_a_damaged_file_is_a_problem_of_its_row(packed):
    path = packed({"a.png": bytes(range(256)) * 40, "b.png": b"fine"})
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    with Archive(path) as pictures:
        assert "damaged" in pictures.read("a.png", "row 1").reason
        assert pictures.read("b.png", "row 2") == b"fine"


def test_an_encrypted_file_is_a_problem_of_its_row(packed):
    path = packed({"a.png": b"1"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with Archive(path) as pictures:
        assert pictures.read("a.png", "row 1").reason == "encrypted"
