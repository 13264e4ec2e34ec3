"""Runs that write the same output, die in the middle of it, or find no room for it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jointune import JointClassifier, OutputError, compare
from jointune.run_folder import locked

pytestmark = pytest.mark.attack


@pytest.fixture
def other_run(tmp_path):
    """A process that holds the lock of an output until it is killed: ``other_run(path)``."""
    processes = []

    def start(path: Path) -> subprocess.Popen:
        script = "import sys; from pathlib import Path; from jointune.run_folder import locked\n"
        script += "with locked(Path(sys.argv[1])):\n    print(flush=True)\n    sys.stdin.read()\n"
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout.readline(), "it holds the lock"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_every_command_refuses_an_output_that_another_run_writes(refused, other_run, tiny_bundle, posts_csv, tmp_path):
    out = tmp_path / "new" / "out.csv"
    other = other_run(out)
    says = [f"{out} is being written by another run, process {other.pid} (`-c {out}`), since 20", "choose another path"]
    for command in (
        ("train", posts_csv),
        ("predict", tiny_bundle, posts_csv),
        ("evaluate", tiny_bundle, posts_csv),
        ("compare", posts_csv),
        ("tune", posts_csv),
        ("export", tiny_bundle),
        ("import", "folders", posts_csv.parent),
        ("demo",),
    ):
        for force in ([], ["--force"]):
            refused(*command, "--out", out, *force, says=says)
    assert [file.name for file in out.parent.iterdir()] == [".out.csv.lock"]


def test_python_refuses_it_too(other_run, tiny_bundle, posts_csv, tmp_path, tiny_settings):
    out = tmp_path / "out"
    other_run(out)
    classifier = JointClassifier.load(tiny_bundle)
    for write in (
        lambda: compare(posts_csv, out=out, force=True),
        lambda: JointClassifier(**tiny_settings).fit(posts_csv, checkpoint=out, resume=True),
        lambda: classifier.save(out, force=True),
    ):
        with pytest.raises(OutputError, match="out is being written by another run, process "):
            write()
    assert [file.name for file in tmp_path.iterdir()] == [".out.lock"]


def test_only_the_main_process_of_a_training_takes_the_lock(other_run, tiny_bundle, tmp_path, monkeypatch):
    out = tmp_path / "out"
    other_run(out)
    monkeypatch.setenv("RANK", "1")
    JointClassifier.load(tiny_bundle).save(out)
    assert out.exists()


def test_a_killed_run_holds_no_lock_and_one_that_ends_leaves_none(other_run, tmp_path):
    out = tmp_path / "a" / "b" / "out"
    other = other_run(out)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (out.parent / ".out.lock").exists()
    with locked(out), locked(out):
        pass
    with locked(tmp_path / "c" / "d"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert list(out.parent.iterdir()) == []


def test_another_name_of_the_same_folder_is_the_same_output(other_run, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    other_run(tmp_path / "real")
    for name in ("link", "real/", "real/../real"):
        with pytest.raises(OutputError, match="is being written by another run"), locked(Path(f"{tmp_path}/{name}")):
            pass


def test_what_lies_in_the_place_of_the_lock_is_spared(tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / ".out.lock").symlink_to(mine)
    with pytest.raises(OutputError, match=r"out cannot be locked against a second run: .*\.out\.lock: "), locked(out):
        pass
    assert mine.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody with fewer rights")
def test_a_folder_without_the_right_to_write_or_to_read_is_one_clear_error(refused, posts_csv, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "closed").mkdir(mode=0o700)
    for folder in [tmp_path, *tmp_path.parents][:4]:
        folder.chmod(0o755)
    os.seteuid(65534)
    try:
        for out in (tmp_path / "out.csv", tmp_path / "closed" / "out.csv"):
            for command in (("import", "folders", posts_csv.parent), ("train", posts_csv), ("compare", posts_csv)):
                refused(*command, "--out", out, says=[f"{out} cannot be written: permission denied"])
    finally:
        os.seteuid(0)
