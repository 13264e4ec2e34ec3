"""Libraries that run an exported graph."""

import subprocess
import sys

import numpy as np
import pytest

from jointune import BundleError, JointClassifier, MissingExtraError, SettingsError, read_posts
from jointune.inference.load import load_predictor
from jointune.inference.onnx_backend import ENGINES, load_exported, open_graph


def scores(predictor, posts):
    return np.stack([one.probabilities for one in predictor.stream(posts)])


@pytest.mark.parametrize("engine", ENGINES)
def test_each_gives_the_same_scores_as_the_bundle(engine, exported_model, tiny_bundle, posts_csv):
    pytest.importorskip(engine)
    posts = read_posts(posts_csv)
    expected = JointClassifier.load(tiny_bundle, device="cpu").predict_proba(posts)
    found = scores(load_predictor(exported_model, engine=engine), posts)
    np.testing.assert_allclose(found, expected, atol=1e-5 if engine == "onnxruntime" else 0.02)
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert found.dtype == np.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_change_nothing(engine, exported_model, posts_csv):
    pytest.importorskip(engine)
    posts = read_posts(posts_csv)[:5]
    rows = [scores(load_exported(exported_model, engine, threads), posts) for threads in (1, 2, None)]
    np.testing.assert_allclose(rows[1], rows[0], atol=1e-6 if engine == "onnxruntime" else 0.01)
    np.testing.assert_allclose(rows[2], rows[0], atol=1e-6 if engine == "onnxruntime" else 0.01)


@pytest.mark.parametrize("engine", ENGINES)
def test_posts_that_lack_a_text_or_a_picture(engine, exported_model, tiny_bundle, posts_csv):
    pytest.importorskip(engine)
    predictor, classifier = (
        load_predictor(exported_model, engine=engine),
        JointClassifier.load(tiny_bundle, device="cpu"),
    )
    for hidden in ("text", "image"):
        posts = read_posts(posts_csv).without(hidden)
        np.testing.assert_allclose(
            scores(predictor, posts), classifier.predict_proba(posts), atol=1e-5 if engine == "onnxruntime" else 0.02
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_broken_graph_is_named(engine, tmp_path):
    pytest.importorskip(engine)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match=rf"model.onnx: {engine} .* cannot run it"):
        open_graph(tmp_path / "model.onnx", engine)


def test_an_engine_that_is_unknown_or_missing_or_for_a_bundle(exported_model, tiny_bundle, monkeypatch):
    with pytest.raises(SettingsError, match="choose one of onnxruntime, openvino"):
        load_predictor(exported_model, engine="tensorrt")
    with pytest.raises(SettingsError, match="is no exported model"):
        load_predictor(tiny_bundle, engine="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints\.txt '\.\[openvino\]'"):
        load_predictor(exported_model, engine="openvino")


def test_the_commands_take_one(exported_model, posts_csv, tmp_path, jointune):
    pytest.importorskip("openvino")
    out = tmp_path / "scored.csv"
    assert jointune("predict", exported_model, posts_csv, "--out", out, "--engine", "openvino")[0] == 0
    assert len(read_posts(out)) == len(read_posts(posts_csv))
    code, said = jointune("evaluate", exported_model, posts_csv, "--engine", "no")[:2]
    assert code == 2
    assert "choose one of" in said


def test_what_is_not_chosen_is_not_imported(exported_model):
    code = (
        f"import sys; from jointune.inference.load import load_predictor; load_predictor({str(exported_model)!r}); "
        "assert 'openvino' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
