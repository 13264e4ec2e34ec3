"""jointune tune."""

import json
import re
import shlex
import sys

import pytest

from helpers.watched_forward import watched
from jointune import JointClassifier
from jointune.model import JointModel


@pytest.fixture(scope="module")
def tiny(tiny_text, tiny_image):
    """Options of trials of a fraction of a second."""
    return [
        f"--text-encoder={tiny_text}", f"--image-encoder={tiny_image}", "--epochs=1", "--batch-size=8",
        "--precision=fp32", "--fusions=gated:8,concat", "--quiet",
    ]  # fmt: skip


def test_its_last_words_train_the_best_trial(jointune, posts_csv, tmp_path, tiny):
    out = tmp_path / "tuning"
    command = [
        "tune",
        posts_csv,
        "--split-column",
        "split",
        "--trials",
        "2",
        "--out",
        out,
        "--class-weight",
        "balanced",
        *tiny,
    ]
    code, said = jointune(*command)
    assert code == 0, said
    assert "All 2 trials are done." in said
    line = next(line for line in said.splitlines() if line.startswith("jointune train"))
    code, trained = jointune(*shlex.split(line)[1:], "--quiet")
    assert code == 0, trained
    bundle = JointClassifier.load(tmp_path / "tuning-best")
    best = json.loads((out / "best.json").read_text(encoding="utf-8"))
    assert {name: bundle.get_params()[name] for name in best} == best
    assert best["class_weight"] == "balanced"
    accuracy = re.search(r"^\d.*?  ([01]\.\d{3})  ", said, re.MULTILINE)[1]
    assert f"validation in fp32: accuracy {accuracy}" in trained

    code, said = jointune(*command)
    assert code == 2
    assert "exists already" in said
    code, said = jointune(*command, "--resume", "--trials", "3")
    assert code == 0, said
    assert "All 3 trials are done." in said


def test_the_command_it_ends_with_names_the_columns(jointune, tmp_path, tiny):
    path = tmp_path / "my posts.csv"
    rows = [f"{'good' if number % 2 else 'bad'} {number},{number % 2}" for number in range(16)]
    path.write_text("\n".join(["words,mood", *rows]))
    options = ["--text-column=words", "--image-column=", "--label-column=mood", "--validation=0.25", "--trials=1"]
    code, said = jointune("tune", path, "--out", tmp_path / "tuning", *options, *tiny)
    assert code == 0, said
    line = next(line for line in said.splitlines() if line.startswith("jointune train"))
    code, trained = jointune(*shlex.split(line)[1:], "--quiet")
    assert code == 0, trained


def test_ctrl_c_says_what_was_learned(jointune, posts_csv, tmp_path, tiny):
    models = []

    def stop_at_second(model, _):
        if model not in models:
            models.append(model)
            if len(models) == 2:
                raise KeyboardInterrupt

    with watched(JointModel, stop_at_second):
        code, said = jointune("tune", posts_csv, "--split-column=split", "--out", tmp_path / "tuning", *tiny)
    assert code == 130
    assert "The search was interrupted." in said
    assert "jointune train" in said
    assert "finished trials are kept; go on with the same command and --resume" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--trials=0"], "--trials 0"),
        (["--time-limit=0"], "--time-limit 0"),
        (["--fusions=magic"], "--fusions magic"),
        (["--fusions=,"], "--fusions ''"),
        (["--metric=luck"], "--metric luck"),
        (["--on-bad-image=guess"], "choose error, skip or missing"),
        (["--validation=nowhere.csv"], "neither a fraction nor a file"),
        (["--encoder-lr=-1"], "--encoder-lr -1.0"),
    ],
)
def test_bad_options(refused, posts_csv, tmp_path, options, says):
    refused("tune", posts_csv, "--out", tmp_path / "tuning", *options, says=[says])
    assert not (tmp_path / "tuning").exists()


def test_without_optuna(refused, posts_csv, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    refused("tune", posts_csv, "--out", tmp_path / "tuning", says=["pip install -c constraints.txt '.[tune]'"])
