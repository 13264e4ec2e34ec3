"""Outputs appear whole or not at all, and never over something a user made."""

import errno
import os
import stat

import pytest

from jointune.errors import OutputError
from jointune.utils.files import atomic_file, atomic_folder, sha256


def test_a_file_appears_whole_with_the_usual_rights(tmp_path):
    path = tmp_path / "new" / "out.csv"
    with atomic_file(path) as temporary:
        temporary.write_text("content")
        assert not path.exists()
        assert temporary.suffix == ".csv"
    assert path.read_text() == "content"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_nothing_and_spares_what_was_there(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("of yesterday")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_another_only_when_it_is_whole(tmp_path):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_folder(path) as temporary:  # noqa: PT012
        (temporary / "new").write_text("new")
        1 / 0  # noqa: B018
    assert [file.name for file in path.iterdir()] == ["old"]
    with atomic_folder(path) as temporary:
        (temporary / "new").write_text("new")
    assert [file.name for file in path.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("number", "why"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "permission denied"), (errno.EIO, "Input/o")]
)
def test_what_goes_wrong_on_the_disk_is_one_clear_error(tmp_path, number, why):
    for write in (atomic_file, atomic_folder):
        expected = f"out could not be written: {why}.*nothing was left half-written"
        with pytest.raises(OutputError, match=expected), write(tmp_path / "out"):
            raise OSError(number, os.strerror(number))
        assert not list(tmp_path.iterdir())


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
