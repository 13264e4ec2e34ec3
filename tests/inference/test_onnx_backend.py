"""The runtime without torch: the same scores, in a process that has neither torch nor anything else of training."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jointune import BundleError, JointClassifier, SettingsError, read_posts
from jointune.inference.load import load_predictor
from jointune.targets.single_label import SingleLabel
from jointune.utils.files import sha256

BLOCKED = ("torch", "transformers", "pandas", "pyarrow", "sklearn", "scipy", "accelerate", "onnx", "huggingface_hub")


@pytest.fixture
def copy(exported_model, tmp_path) -> Path:
    return Path(shutil.copytree(exported_model, tmp_path / "copy"))


def sign(folder: Path) -> None:
    """Make the manifest fit what the files now are."""
    names = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({name: sha256(folder / name) for name in names}))


def test_the_same_scores_as_the_bundle(exported_model, tiny_bundle, posts_csv):
    posts = read_posts(posts_csv)
    predictor = load_predictor(exported_model)
    expected = JointClassifier.load(tiny_bundle, device="cpu").predict_proba(posts)
    found = np.stack([one.probabilities for one in predictor.stream(posts)])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32
    assert predictor.labels == ["negative", "positive"]
    assert predictor.about["export"]["precision"] == "fp32"
    assert "## Export" in predictor.card


def test_it_knows_the_posts_again_that_it_was_trained_on(copy, posts_csv, jointune):
    code, said = jointune("evaluate", copy, posts_csv, "--quiet")
    assert code == 0, said
    assert "note: of the 48 posts, 32 were learned from, 8 were validated on: scores on them flatter" in said
    (copy / "learned_posts.json").unlink()
    code, said = jointune("evaluate", copy, posts_csv, "--quiet")
    assert (code, "note:" in said) == (0, False), said


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "labels.json", "tokenizer.json", "export.json"])
def test_what_was_altered_or_lost_is_named(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + b"?")
    with pytest.raises(BundleError, match=f"{name} was altered"):
        load_predictor(copy)
    if name != "export.json":  # by which the folder is known
        (copy / name).unlink()
        with pytest.raises(BundleError, match=f"{name} is missing"):
            load_predictor(copy)


def test_a_broken_graph_and_a_newer_format_are_named(copy):
    (copy / "model.onnx").write_bytes(b"no graph")
    sign(copy)
    with pytest.raises(BundleError, match=r"onnxruntime .* cannot run it"):
        load_predictor(copy)
    said = json.loads((copy / "export.json").read_text())
    (copy / "export.json").write_text(json.dumps(said | {"format": 99}))
    sign(copy)
    with pytest.raises(BundleError, match=r"format 99.*update jointune: git pull"):
        load_predictor(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(BundleError, match=r"manifest.json is missing"):
        load_predictor(copy)


def test_no_other_device(exported_model):
    load_predictor(exported_model, "cpu")
    with pytest.raises(SettingsError, match="runs on the CPU"):
        load_predictor(exported_model, "cuda:1")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_neither_torch_nor_what_trains_is_needed(exported_model, tiny_bundle, posts_csv, tmp_path, jointune, command):
    ending = "csv" if command == "predict" else "json"
    code = (
        f"import sys\nfor name in {BLOCKED}: sys.modules[name] = None\n"
        f"sys.argv = ['jointune', '{command}', {str(exported_model)!r}, {str(posts_csv)!r}, '--out', "
        f"{str(tmp_path / f'light.{ending}')!r}]\n"
        "from jointune.cli.app import main\nmain()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert jointune(command, tiny_bundle, posts_csv, "--out", tmp_path / f"torch.{ending}")[0] == 0
    if command == "evaluate":
        scores = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("light", "torch")]
        assert scores[0]["confusion_matrix"] == scores[1]["confusion_matrix"]
        return
    rows = []
    for name in ("light", "torch"):
        with open(tmp_path / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows.append([row["prediction"] for row in csv.DictReader(file)])
    assert rows[0] == rows[1]


def test_probabilities_sum_to_one():
    rows = SingleLabel(["a", "b", "c"]).activate(np.array([[1e4, -1e4, 0], [0.1, 0.2, 0.3]], dtype=np.float32))
    np.testing.assert_allclose(rows.sum(1), 1)
    assert rows.dtype == np.float64
