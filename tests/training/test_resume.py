"""A run that was interrupted or killed ends with the same numbers as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from helpers.full_disk import files_up_to
from helpers.watched_forward import watched
from jointune import JointClassifier, read_posts
from jointune.errors import InterruptedTraining, OutputError
from jointune.model import JointModel

ARGUMENTS = ["--split-column", "split", "--epochs", "6", "--batch-size", "4", "--precision", "fp32", "--patience", "9"]
RATES = ["--encoder-lr", "1e-3", "--head-lr", "1e-2", "--epoch-steps", "1"]


def command(posts: Path, out: Path, settings: dict, *more: str) -> list[str]:
    encoders = ["--text-encoder", settings["text_encoder"], "--image-encoder", settings["image_encoder"]]
    return [
        sys.executable,
        "-m",
        "jointune",
        "train",
        str(posts),
        "--out",
        str(out),
        *encoders,
        *ARGUMENTS,
        *RATES,
        *more,
    ]


def weights(bundle: Path) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in load_file(bundle / "model.safetensors").items()}


def log(bundle: Path) -> list[dict]:
    entries = [json.loads(line) for line in (bundle / "training_log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, posts_csv, tiny_settings) -> Path:
    out = tmp_path_factory.mktemp("whole") / "bundle"
    subprocess.run(command(posts_csv, out, tiny_settings), check=True, capture_output=True)
    return out


def test_killed_and_resumed(tmp_path, posts_csv, tiny_settings, uninterrupted):
    out = tmp_path / "bundle"
    state = tmp_path / "bundle.partial" / "state.pt"
    process = subprocess.Popen(command(posts_csv, out, tiny_settings), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    process.stderr.close()
    assert state.exists()
    assert not out.exists(), "killed too late to test anything"
    done = subprocess.run(
        command(posts_csv, out, tiny_settings, "--resume"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert weights(out) == weights(uninterrupted)
    assert log(out) == log(uninterrupted)
    assert not state.parent.exists()


def test_interrupted_in_the_middle_of_an_epoch_and_resumed(tmp_path, posts_csv, tiny_settings, uninterrupted):
    posts = read_posts(posts_csv, split_column="split")
    parts = {"validation": posts.in_split("validation"), "checkpoint": tmp_path / "state"}
    settings = tiny_settings | {"epochs": 6, "batch_size": 4, "patience": 9}
    trained = []

    def interrupt(model, _):
        trained.append(model.training)
        if model.training and sum(trained) == 13:
            os.kill(os.getpid(), signal.SIGINT)

    with watched(JointModel, interrupt), pytest.raises(InterruptedTraining, match="its state is saved"):
        JointClassifier(**settings).fit(posts.in_split("train"), **parts)
    resumed = JointClassifier(**settings).fit(posts.in_split("train"), **parts, resume=True)
    resumed.save(tmp_path / "bundle")
    assert weights(tmp_path / "bundle") == weights(uninterrupted)
    assert log(tmp_path / "bundle") == log(uninterrupted)


@pytest.mark.parametrize(
    "step", [5, 8, 9], ids=["within the first run", "at its end", "after the first step of the next"]
)
def test_several_runs_are_interrupted_and_resumed(tmp_path, parts, tiny_settings, step):
    training, held, test = parts
    settings = tiny_settings | {"epochs": 2, "epoch_steps": 4, "batch_size": len(training), "average_runs": 2}
    whole = JointClassifier(**settings).fit(training, validation=held)
    assert whole.log_[-1]["step"] == 16
    asked = []

    def interrupt(model, _):
        asked.append(model.training)
        if model.training and sum(asked) == step * parts_a_step:
            os.kill(os.getpid(), signal.SIGINT)

    parts_a_step = -(-len(training) // 16)
    with watched(JointModel, interrupt), pytest.raises(InterruptedTraining):
        JointClassifier(**settings).fit(training, validation=held, checkpoint=tmp_path)
    resumed = JointClassifier(**settings).fit(training, validation=held, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.predict_proba(test), whole.predict_proba(test))
    assert [entry | {"seconds": 0} for entry in resumed.log_] == [entry | {"seconds": 0} for entry in whole.log_]


def test_a_run_that_stopped_early_goes_no_further(tmp_path, parts, tiny_settings):
    """As after a kill, or a disk that is full, while the bundle is saved."""
    training, held, test = parts
    settings = tiny_settings | {"epochs": 20, "patience": 1, "encoder_lr": 0.0, "head_lr": 0.0}
    stopped = JointClassifier(**settings).fit(training, validation=held, checkpoint=tmp_path)
    assert stopped.log_[-1]["epoch"] == 1
    for _ in range(2):
        resumed = JointClassifier(**settings).fit(training, validation=held, checkpoint=tmp_path, resume=True)
        assert resumed.log_ == stopped.log_
        np.testing.assert_array_equal(resumed.predict_proba(test), stopped.predict_proba(test))


def test_a_run_of_other_posts_or_settings_is_not_continued(tmp_path, posts_csv, tiny_settings):
    posts = read_posts(posts_csv, split_column="split")
    checkpoint = tmp_path / "state"
    held = posts.in_split("validation")
    JointClassifier(**tiny_settings).fit(posts.in_split("train"), validation=held, checkpoint=checkpoint)
    with pytest.raises(OutputError, match="other head_lr"):
        JointClassifier(**tiny_settings | {"head_lr": 0.5}).fit(
            posts.in_split("train"), validation=held, checkpoint=checkpoint, resume=True
        )
    with pytest.raises(OutputError, match="other training posts"):
        JointClassifier(**tiny_settings).fit(
            posts.in_split("train")[1:], validation=held, checkpoint=checkpoint, resume=True
        )


def test_an_unfinished_run_is_not_thrown_away(tmp_path, posts_csv, tiny_settings, jointune):
    out = tmp_path / "bundle"
    (tmp_path / "bundle.partial").mkdir()
    (tmp_path / "bundle.partial" / "state.pt").write_bytes(b"an hour of work")
    code, said = jointune(*command(posts_csv, out, tiny_settings)[3:])
    assert code == 2
    assert "--resume" in said
    assert "--force" in said
    assert (tmp_path / "bundle.partial" / "state.pt").read_bytes() == b"an hour of work"


def test_a_disk_that_is_full_when_the_state_is_saved(tmp_path, posts_csv, tiny_settings, jointune):
    out = tmp_path / "bundle"
    with files_up_to(300_000):  # more than the prepared pictures take
        code, said = jointune(*command(posts_csv, out, tiny_settings)[3:])
    assert code == 2
    assert "state.pt could not be written: the disk is full" in said
    assert "Traceback" not in said
    assert not out.exists()
    code, said = jointune(*command(posts_csv, out, tiny_settings)[3:])
    assert code == 0, "no half-written state stands in the way of the next try"
