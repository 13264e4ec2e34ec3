"""jointune compare."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import fake_ocr


@pytest.fixture
def options(tiny_text, tiny_image):
    return ["--text-encoder", tiny_text, "--image-encoder", tiny_image, "--epochs", "1", "--quiet"]


def test_it_writes_a_report_and_says_what_it_found(jointune, posts_csv, tmp_path, options, cells_here):
    out = tmp_path / "report"
    command = ["compare", posts_csv, "--split-column", "split", "--out", out, *options, "--methods"]
    code, said = jointune(*command, "frozen")
    assert code == 0, said
    with cells_here():
        code, said = jointune(*command, "frozen,text", "--resume")
    assert code == 0, said
    assert "macro F1" in said
    assert "frozen" in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http:" not in page
    assert "https:" not in page
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        assert {row["method"] for row in csv.DictReader(file)} == {"frozen", "text"}

    code, said = jointune(*command, "frozen,text")
    assert code == 2
    assert "exists already" in said


def test_a_crashed_cell_sets_the_exit_code(jointune, posts_csv, tmp_path, options, monkeypatch):
    """Every other Python process ends as it begins, and so does that of the cell."""
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, said = jointune(
        "compare", posts_csv, "--split-column", "split", "--methods", "frozen", "--out", tmp_path / "report", *options
    )
    assert code == 1
    assert "it printed nothing (exit code 3)" in said
    assert "1 cell crashed; the same command with --resume tries again" in said
    assert (tmp_path / "report" / "report.html").exists()


def test_posts_whose_picture_is_bad_are_listed(jointune, fresh_posts, tmp_path, options, cells_here):
    path = fresh_posts()
    (path.parent / "7.png").write_bytes(b"no picture")
    command = ["compare", path, "--methods", "frozen", "--folds", "2", "--out", tmp_path / "report", *options]
    with cells_here():
        code, said = jointune(*command, "--on-bad-image", "skip")
    assert code == 0, said
    assert "row 8" in said
    assert "1 post was left out" in said
    assert "| posts whose picture could not be read | 1, left out |" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--methods", "magic"], "choose among"),
        (["--methods", "clip"], "--clip"),
        (["--folds", "3", "--split-column", "split"], "one or the other"),
        (["--folds", "2", "--split-column", "split"], "one or the other"),
        (["--folds", "0"], "--folds"),
        (["--text-encoder", "./nowhere"], "no such folder with an encoder"),
        (["--clip", "./nowhere", "--methods", "clip"], "no such folder with an encoder"),
        (["--clip", "x", "--read-image-text"], "leave out clip and clip-zero-shot"),
        (["--label-budgets", "some"], "'some' is neither"),
        (["--clip", "x", "--methods", "clip-zero-shot", "--prompts", "nowhere.json"], "neither a template"),
        (["--metric", "luck"], "luck"),
        (["--on-bad-image", "guess"], "guess"),
    ],
)
def test_bad_arguments(refused, posts_csv, tmp_path, monkeypatch, arguments, says):
    fake_ocr.install(monkeypatch, tmp_path / "cache", lambda _: "")
    refused("compare", posts_csv, "--out", tmp_path / "report", *arguments, says=[says])
    assert not (tmp_path / "report").exists()


def test_prompts_may_be_in_a_file(tmp_path):
    from jointune.cli.compare import read_prompts

    file = tmp_path / "prompts.json"
    file.write_text('{"good": "a happy post"}')
    assert read_prompts(str(file)) == {"good": "a happy post"}
    assert read_prompts("a {label} post") == "a {label} post"
    assert read_prompts(None) is None


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc to ask")
def test_a_signal_ends_the_training_too_and_leaves_no_text_behind(posts_csv, tmp_path, options):
    """Under nohup, a terminal that is closed ends nothing."""
    running = {
        "plain": begin(posts_csv, tmp_path / "plain", options),
        "nohup": begin(posts_csv, tmp_path / "nohup", options, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)),
    }
    workers = {}
    try:
        for name, process in running.items():
            workers[name] = within(120, lambda process=process: worker_of(process.pid))
            assert not texts_in(tmp_path / name), "not even while it runs: SIGKILL would leave them"
            process.send_signal(signal.SIGHUP)
        running["nohup"].send_signal(signal.SIGTERM)
        codes = {name: process.wait(60) for name, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    assert codes == {"plain": 128 + signal.SIGHUP, "nohup": 128 + signal.SIGTERM}
    for name, worker in workers.items():
        assert within(60, lambda worker=worker: not alive(worker))
        assert not texts_in(tmp_path / name)
        assert list((tmp_path / name / "tmp").iterdir()) == []


def begin(posts: Path, folder: Path, options: list[str], before: Callable[[], object] | None = None):
    """A comparison that takes long, as a process of its own."""
    (folder / "tmp").mkdir(parents=True)
    command = ["compare", posts, "--split-column", "split", "--methods", "text", "--out", folder / "report", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "jointune", *map(str, command), "--seeds", "1000"],
        env=os.environ | {"TMPDIR": str(folder / "tmp")},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=before,
    )


def within(seconds: float, found: Callable[[], object]):
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)
    return value


def worker_of(process: int) -> int | None:
    """The process that trains for another one."""
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        if b"jointune.comparison.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return None


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def texts_in(folder: Path) -> list[Path]:
    """The files that hold the text of a post."""
    return [path for path in folder.rglob("*") if path.is_file() and b"good happy" in path.read_bytes()]
