"""jointune compare."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import fake_ocr
from helpers.lifeline import Lifeline


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


def test_a_signal_ends_the_training_too_and_leaves_no_text_behind(posts_csv, tmp_path, options):
    """Under nohup, a terminal that is closed ends nothing."""
    running = {
        "plain": begin(posts_csv, tmp_path / "plain", options),
        "nohup": begin(posts_csv, tmp_path / "nohup", options, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)),
    }
    try:
        for name, (process, lifeline) in running.items():
            assert lifeline.begun(120)
            assert not texts_in(tmp_path / name), "not even while it runs: SIGKILL would leave them"
            process.send_signal(signal.SIGHUP)
        running["nohup"][0].send_signal(signal.SIGTERM)
        codes = {name: process.wait(60) for name, (process, _) in running.items()}
        assert codes == {"plain": 128 + signal.SIGHUP, "nohup": 128 + signal.SIGTERM}
        assert all(lifeline.ended() for _, lifeline in running.values())
    finally:
        for process, lifeline in running.values():
            process.kill()
            process.wait()
            lifeline.close()
    for name in running:
        assert not texts_in(tmp_path / name)
        assert list((tmp_path / name / "tmp").iterdir()) == []


def begin(posts: Path, folder: Path, options: list[str], before: Callable[[], object] | None = None):
    """Begin a comparison that takes long, and a lifeline that the process of its cell holds."""
    (folder / "tmp").mkdir(parents=True)
    lifeline = Lifeline(folder / "lifeline")
    (folder / "sitecustomize.py").write_text(
        "import sys\nif 'jointune.comparison.worker' in sys.orig_argv:\n"
        f"    lifeline = open({str(folder / 'lifeline')!r}, 'w', buffering=1)\n    lifeline.write('begun\\n')\n"
    )
    command = ["compare", posts, "--split-column", "split", "--methods", "text", "--out", folder / "report", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "jointune", *map(str, command), "--seeds", "1000"],
        env=os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=before,
    )
    return process, lifeline


def texts_in(folder: Path) -> list[Path]:
    """The files that hold the text of a post."""
    return [path for path in folder.rglob("*") if path.is_file() and b"good happy" in path.read_bytes()]
