"""An output is fresh, resumed, replaced or refused."""

from pathlib import Path

import pytest

from jointune.errors import OutputError
from jointune.utils.run_folder import RunFolder, locked, refuse_existing


def test_an_existing_file_needs_force(tmp_path):
    path = tmp_path / "out.csv"
    refuse_existing(path, force=False)
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already; choose another path, or replace it with force=True"):
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
        RunFolder(path, "mark", force=True).refuse()
        with pytest.raises(OutputError, match="exists already; choose another path, or replace it with force=True"):
            RunFolder(path, "mark").refuse()
    for force in (False, True):
        for path in (theirs, file):
            with pytest.raises(OutputError, match="holds something else, which force=True spares"):
                RunFolder(path, "mark", force=force).refuse()
        with pytest.raises(OutputError, match="holds something else, which force=True spares"):
            refuse_existing(ours, force)


def test_the_posts_themselves_are_never_an_output(tmp_path):
    posts, link = tmp_path / "posts.csv", tmp_path / "link.csv"
    posts.touch()
    link.symlink_to(posts)
    (tmp_path / "mark").touch()
    for path in (posts, link):
        with pytest.raises(OutputError, match="is or holds the posts themselves; choose another path"):
            refuse_existing(path, force=True, source=posts)
    with pytest.raises(OutputError, match="is or holds the posts themselves; choose another path"):
        RunFolder(tmp_path, "mark", force=True, source=posts).refuse()


@pytest.fixture
def begun(tmp_path):
    """The folder of a run with the fingerprint {"posts": 1, "seed": [2]}, and a file of the user's."""
    path = tmp_path / "run"
    assert not RunFolder(path, "mark", resume=False).claim({"posts": 1, "seed": (2,)})
    (path / "part.csv").touch()
    return path


def test_a_run_is_resumed_only_with_the_same_fingerprint(begun):
    resumed = RunFolder(begun, "mark", resume=True)
    assert resumed.claim({"posts": 1, "seed": (2,)})
    assert resumed.claim({"posts": 1, "seed": 3}, same=["posts"])
    says = "run with other posts and seed; resume with the same, choose another path, or replace it with force=True"
    with pytest.raises(OutputError, match=says):
        resumed.claim({"posts": 2, "seed": 3})
    with pytest.raises(OutputError, match="run with other seed; resume with the same, or start again without resume="):
        RunFolder(begun, "mark", resume=True, force=None).claim({"posts": 1, "seed": 3})
    with pytest.raises(OutputError, match="by another version of jointune"):
        resumed.claim({"format": 2})
    says = "exists already and holds an unfinished run; go on with resume=True, choose another path, or replace it with"
    with pytest.raises(OutputError, match=says):
        RunFolder(begun, "mark", resume=False).claim({"posts": 1})
    assert resumed.fingerprint() == {"posts": 1, "seed": [2]}, "what is refused changes nothing"
    (begun / "mark").write_text("[]")
    with pytest.raises(OutputError, match="mark is damaged: it is no JSON object; choose another path, or replace"):
        resumed.claim({"posts": 1})


def test_only_what_a_run_wrote_is_discarded(begun):
    (begun / "mine.txt").touch()
    assert not RunFolder(begun, "mark", ("part*",), resume=False, force=True).claim({"posts": 3})
    assert sorted(file.name for file in begun.iterdir()) == ["mark", "mine.txt"]
    RunFolder(begun, "mark", ("part*",)).discard()
    assert [file.name for file in begun.iterdir()] == ["mine.txt"]
    (begun / "mine.txt").unlink()
    (begun / ".mark.jointune-1").touch()  # left by a kill
    RunFolder(begun, "mark", resume=False).claim({"posts": 3})
    assert [file.name for file in begun.iterdir()] == ["mark"]
    RunFolder(begun, "mark").discard()
    assert not begun.exists()


def test_an_output_and_its_partial_folder_share_a_lock(tmp_path):
    with locked(tmp_path / "out"), locked(tmp_path / "out.partial"):
        assert [file.name for file in tmp_path.iterdir()] == [".out.lock"]


def test_an_output_inside_a_file_or_in_a_place_that_takes_none(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file, not a folder"), locked(tmp_path / "file" / "out.csv"):
        pass
    if Path("/proc/version").exists():
        why = r"/proc/out\.csv cannot be written: .*choose another path"
        with pytest.raises(OutputError, match=why), locked(Path("/proc/out.csv")):
            pass
