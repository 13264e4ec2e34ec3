"""Runs that write the same output, die in the middle of it, or find no room for it."""

import os
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from helpers.watched_forward import stopped_after, while_scoring
from jointune import JointClassifier, OutputError, compare
from jointune.cli.app import main
from jointune.cli.options import out as terminal
from jointune.utils.run_folder import locked

pytestmark = pytest.mark.attack


@pytest.fixture
def other_run(tmp_path):
    """A process that holds the lock of an output until it is killed: ``other_run(path)``."""
    processes = []

    def start(path: Path) -> subprocess.Popen:
        script = "import sys; from pathlib import Path; from jointune.utils.run_folder import locked\n"
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


@pytest.fixture
def half_scored(jointune, tiny_bundle, posts_csv, tmp_path, small_chunks):
    """The command and the folder with the parts of a run of 48 posts that was interrupted after 32."""
    command = ("predict", tiny_bundle, posts_csv, "--out", tmp_path / "s.csv")
    with stopped_after(4, KeyboardInterrupt()):
        assert jointune(*command)[0] == 130
    return command, tmp_path / "s.csv.partial"


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _cut(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def _swap(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content.replace(b"9", b"8") if b"9" in content else content + b" ")


@pytest.mark.parametrize("change", [_empty, _cut, _swap, Path.unlink])
@pytest.mark.parametrize("ending", [".csv", ".finished.json"])
def test_a_part_that_was_changed_is_named_and_scored_again(jointune, half_scored, tmp_path, change, ending):
    command, partial = half_scored
    whole = tmp_path / "whole.csv"
    assert jointune(*command[:-1], whole)[0] == 0
    change(partial / f"000000000008-000000000016{ending}")
    code, said = jointune(*command, "--resume")
    assert code == 0, said
    if (change, ending) != (Path.unlink, ".finished.json"):  # which is as if it had not been written yet
        assert "note: " in said
        assert "was changed after it was written: from post 9 on, all are scored again" in said
    assert (tmp_path / "s.csv").read_bytes() == whole.read_bytes()


def test_a_part_that_changes_while_others_are_scored_ends_the_run(jointune, refused, half_scored, tmp_path):
    command, partial = half_scored
    part = partial / "000000000000-000000000008.csv"
    with while_scoring(lambda _: _empty(part)):
        refused(*command, "--resume", says=[f"{part} is missing or was changed", "go on with --resume"])
    assert not (tmp_path / "s.csv").exists()
    code, said = jointune(*command, "--resume")
    assert code == 0, said
    assert (tmp_path / "s.csv").read_text().count("\n") == 49


def test_an_output_that_was_changed_before_it_moved_to_its_place_is_made_anew(
    jointune, tiny_bundle, posts_csv, tmp_path, monkeypatch
):
    out, replace = tmp_path / "s.csv", Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target == out:
            raise RuntimeError("the plug was pulled")
        return replace(self, target)

    command = ("predict", tiny_bundle, posts_csv, "--out", out)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(RuntimeError, match="plug"):
            jointune(*command)
    _empty(tmp_path / "s.csv.partial" / "joined" / "s.csv")
    assert jointune(*command, "--resume")[0] == 0
    assert out.read_text().count("\n") == 49
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.usefixtures("small_chunks")
def test_a_table_that_shrinks_while_it_is_scored_is_told(refused, tiny_bundle, tmp_path):
    posts, out = tmp_path / "p.csv", tmp_path / "s.csv"
    posts.write_text("text\n" + "so good and happy and fine today\n" * 2000)
    command = ("predict", tiny_bundle, posts, "--image-column", "", "--out", out)
    with while_scoring(lambda _: posts.write_text("text\ngood\n")):
        refused(*command, says=["p.csv: changed while it was read", "of 2,000 posts are scored and kept", "--force"])
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("cells/joint.fold-0.seed-0.posts-all.npz", b"", "is damaged: No data left in file"),
        ("cells/joint.fold-0.seed-0.posts-all.npz", b"PK\x03\x04", "is damaged: "),
        ("cells/joint.fold-0.seed-0.posts-all.failed.json", b"", "is damaged: "),
        ("comparison.json", b"", "is damaged: "),
        ("comparison.json", b"[]", "is damaged: it is no JSON object"),
    ],
)
def test_a_damaged_piece_of_a_comparison_is_named(tmp_path, made_comparison_folder, name, content, says):
    from jointune.comparison.cells import stored_failures, stored_results
    from jointune.comparison.comparison_folder import comparison_folder

    (made_comparison_folder / name).write_bytes(content)
    with pytest.raises(OutputError) as caught:  # noqa: PT012
        comparison_folder(made_comparison_folder).claim({})
        list(stored_results(made_comparison_folder / "cells"))
        list(stored_failures(made_comparison_folder / "cells"))
    assert f"{made_comparison_folder / name} {says}" in str(caught.value)


def test_a_cell_in_the_place_of_another_is_named(made_comparison_folder):
    from jointune.comparison.cells import stored_results

    cells = made_comparison_folder / "cells"
    (cells / "joint.fold-0.seed-0.posts-all.npz").rename(cells / "text.fold-0.seed-0.posts-all.npz")
    with pytest.raises(
        OutputError, match=r"text\.fold-0.*is damaged: it is of another cell: joint, all training posts"
    ):
        list(stored_results(cells))


@pytest.fixture
def made_comparison_folder(tmp_path):
    """The folder of a comparison with one cell."""
    import numpy as np

    from jointune.comparison.cells import Cell, CellResult, Cost, save_result

    folder = tmp_path / "report"
    (folder / "cells").mkdir(parents=True)
    (folder / "comparison.json").write_text("{}")
    numbers, scores = np.arange(2), np.ones((2, 2), dtype=np.float32) / 2
    cost = Cost(1, 1.0, 1.0, 1)
    result = CellResult(Cell("joint", 0, 0, None), 2, numbers, scores, numbers, scores, cost, [], {})
    save_result(result, folder / "cells")
    return folder


def test_a_study_that_is_gone_is_not_begun_anew_in_silence(tmp_path):
    pytest.importorskip("optuna")
    from jointune.tuning.study import open_study

    (tmp_path / "study.db").touch()
    with pytest.raises(OutputError, match=r"study\.db is missing or empty: begin anew with force=True"):
        open_study(tmp_path / "study.db", resumed=True)


def test_a_damaged_state_of_a_training_is_named(tmp_path):
    import torch

    from jointune.training.checkpoint import Checkpoints

    checkpoints = Checkpoints(tmp_path, {"seed": 0})
    checkpoints.save({"model": {"weight": torch.arange(10_000.0)}})
    whole = (tmp_path / "state.pt").read_bytes()
    assert checkpoints.load()["model"]["weight"][-1] == 9999
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (b"", whole[:middle], flipped):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(OutputError, match=r"state\.pt is damaged: .*; remove it and start again"):
            checkpoints.load()
    torch.save({"other": 1}, tmp_path / "state.pt")
    with pytest.raises(OutputError, match=r"state\.pt is damaged: "):
        checkpoints.load()


def test_what_killed_runs_left_goes_with_the_next_run(tmp_path):
    from jointune.utils.files import atomic_file, atomic_folder

    out, script = (
        tmp_path / "out",
        "import os, sys; from pathlib import Path; from jointune.utils.files import atomic_folder\n",
    )
    script += "with atomic_folder(Path(sys.argv[1])) as folder:\n    (folder / 'big').touch()\n    os._exit(9)\n"
    subprocess.run([sys.executable, "-c", script, str(out)], check=False)
    assert [path.name.startswith(".out.jointune-") for path in tmp_path.iterdir()] == [True]
    others = [tmp_path / name for name in (".out.backup", ".other.jointune-1", ".output.jointune-1")]
    for other in others:
        other.touch()
    with locked(out), atomic_file(out) as temporary:
        temporary.write_text("new")
    assert sorted(tmp_path.iterdir()) == sorted([out, *others])
    # A kill between the two renames of a replacement: what was there before is put back.
    with atomic_folder(tmp_path / "bundle") as folder:
        (folder / "old").touch()
    (tmp_path / ".bundle.jointune-old-1").mkdir()
    (tmp_path / "bundle").rename(tmp_path / ".bundle.jointune-old-1" / "bundle")
    with locked(tmp_path / "bundle"):
        assert [file.name for file in (tmp_path / "bundle").iterdir()] == ["old"]
    assert sorted(tmp_path.iterdir()) == sorted([out, tmp_path / "bundle", *others])


def test_a_temporary_folder_of_a_killed_run_goes_with_the_next_one(tmp_path):
    def run(script: str) -> int:
        script = f"import os; from pathlib import Path; from jointune.utils.run_folder import scratch_folder\n{script}"
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        return subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode

    assert run("with scratch_folder('posts') as folder:\n    (folder / 'texts.csv').touch()\n    os._exit(9)\n") == 9
    assert len(list(tmp_path.glob("jointune-posts-*/texts.csv"))) == 1
    script = "with scratch_folder('one') as one, scratch_folder('two') as two:\n"
    script += "    assert {path for path in one.parent.iterdir() if path.is_dir()} == {one, two}\n"
    assert run(script) == 0
    assert list(tmp_path.iterdir()) == []


def _full_disk():
    return open("/dev/full", "w")


def _gone_reader():
    read, write = os.pipe()
    os.close(read)
    return open(write, "w")


@pytest.mark.parametrize(("stream", "code"), [(_full_disk, 2), (_gone_reader, 1)])
def test_what_was_asked_for_is_written_before_it_is_told(tiny_bundle, posts_csv, tmp_path, capsys, stream, code):
    """A full disk, or a reader that goes away, behind standard output."""
    for name, out in (("evaluate", tmp_path / "metrics.json"), ("predict", tmp_path / "s.csv")):
        command = [name, tiny_bundle, posts_csv, "--out", out, "--quiet", "--on-bad-image", "missing"]
        with pytest.raises(SystemExit) as ended, stream() as lost, redirect_stdout(lost):
            main(list(map(str, command)))
        terminal.quiet = False  # it is quiet once a reader went away
        assert ended.value.code == code
        assert out.exists()
        says = "error: standard output or a file: the disk is full" if code == 2 else ""
        assert says in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [tmp_path / "metrics.json", tmp_path / "s.csv"]


def test_lost_streams_and_folders_are_one_line(tmp_path):
    """Each a process: a full and a closed standard output, and a working folder that is gone."""
    for command, code, says in (
        ("--help > /dev/full", 2, "error: standard output or a file: the disk is full\n"),
        ("--version >&-", 0, ""),
        ("cache", 2, "error: the working folder is gone, or closed to you: No such file or directory; cd to another\n"),
    ):
        gone = "mkdir gone; cd gone; rmdir ../gone; " if command == "cache" else ""
        line = ["bash", "-c", f"{gone}{sys.executable} -m jointune {command}"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, says)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_that_may_not_grow_leaves_the_old_one(refused, tiny_bundle, tmp_path, ending):
    import resource

    posts, out = tmp_path / "posts.jsonl", tmp_path / f"out.{ending}"
    posts.write_text("".join(f'{{"text": "good {os.urandom(3000).hex()}"}}\n' for _ in range(40)))
    out.write_text("of yesterday")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        command = ("predict", tiny_bundle, posts, "--image-column", "", "--out", out, "--force")
        refused(*command, says=["could not be written: ", "File too large"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert out.read_text() == "of yesterday"
    assert sorted(tmp_path.iterdir()) == [out, posts]
