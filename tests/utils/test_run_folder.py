"""What may be written where."""

from pathlib import Path

import pytest

from jointune.errors import OutputError
from jointune.utils.run_folder import locked, refuse_existing


def test_an_existing_output_needs_force(tmp_path):
    path = tmp_path / "out.csv"
    refuse_existing(path, force=False)
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already: choose another path, or replace it with force=True"):
        refuse_existing(path, force=False)
    refuse_existing(path, force=True)


def test_force_never_replaces_what_the_command_does_not_write(tmp_path):
    ours, theirs, empty, file = (tmp_path / name for name in ("ours", "theirs", "empty", "file.csv"))
    for folder in (ours, theirs, empty):
        folder.mkdir()
    (ours / "mark").touch()
    (theirs / "holiday.jpg").touch()
    file.touch()
    for path in (ours, empty):
        refuse_existing(path, force=True, mark="mark")
    for path, mark in ((theirs, "mark"), (file, "mark"), (ours, None), (empty, None)):
        with pytest.raises(OutputError, match="holds something else, which force=True spares"):
            refuse_existing(path, force=True, mark=mark)


def test_the_posts_themselves_are_never_an_output(tmp_path):
    posts, link = tmp_path / "posts.csv", tmp_path / "link.csv"
    posts.touch()
    link.symlink_to(posts)
    (tmp_path / "mark").touch()
    for path in (posts, link, tmp_path):
        with pytest.raises(OutputError, match="is or holds the posts themselves: choose another path"):
            refuse_existing(path, force=True, mark="mark" if path == tmp_path else None, source=posts)


def test_an_output_below_a_file_or_in_a_place_that_takes_none(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file, not a folder"), locked(tmp_path / "file" / "out.csv"):
        pass
    if Path("/proc/version").exists():
        why = r"/proc/out\.csv cannot be written: .*choose another path"
        with pytest.raises(OutputError, match=why), locked(Path("/proc/out.csv")):
            pass
