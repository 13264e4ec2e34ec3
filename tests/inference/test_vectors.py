"""Vectors of posts: from torch and from an exported graph alike, in order, and honest about what a post lacks."""

import json

import numpy as np
import pytest

from jointune import BundleError, JointClassifier, Posts, SettingsError, read_posts
from jointune.inference.load import load_predictor


@pytest.fixture(scope="module")
def classifier(tiny_bundle):
    return JointClassifier.load(tiny_bundle, device="cpu")


@pytest.fixture(scope="module")
def posts(posts_csv):
    return read_posts(posts_csv)[:9]


@pytest.fixture(scope="module")
def mixed(posts):
    """Posts with both, with a text alone, and with a picture alone."""
    return Posts([*posts[:3], *posts[3:6].without("image"), *posts[6:].without("text")])


def test_the_head_makes_its_logits_of_the_joint_vectors(classifier, posts):
    import torch

    vectors = classifier.embed(posts)
    assert (vectors.dtype, vectors.shape) == (np.float32, (9, classifier.model_.fusion.dim))
    with torch.inference_mode():
        logits = classifier.model_.head(torch.from_numpy(vectors))
        pooled = [torch.from_numpy(classifier.embed(posts, of=name)) for name in ("text", "image")]
        widths = {name: vector.shape[1] for name, vector in zip(("text", "image"), pooled, strict=True)}
    assert widths == {name: encoder.dim for name, encoder in classifier.model_.encoders.items()}
    if classifier.model_.probe is None:
        scores = (logits / classifier.model_.temperature).softmax(1).numpy()
        np.testing.assert_allclose(scores, classifier.predict_proba(posts), atol=1e-5)


def test_a_vector_does_not_depend_on_the_other_posts(classifier, mixed):
    for of in ("joint", "text", "image"):
        whole = classifier.embed(mixed, of=of)
        alone = np.concatenate([classifier.embed(Posts([post]), of=of) for post in mixed])
        np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_what_a_post_lacks(classifier, mixed):
    assert np.isfinite(classifier.embed(mixed)).all()
    assert np.isnan(classifier.embed(mixed, of="image")).all(1).tolist() == [False] * 3 + [True] * 3 + [False] * 3
    assert np.isnan(classifier.embed(mixed, of="text")).all(1).tolist() == [False] * 6 + [True] * 3


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("of", ["joint", "text", "image"])
def test_an_exported_model_gives_the_same(engine, of, exported_model, classifier, mixed):
    pytest.importorskip(engine)
    vectors = load_predictor(exported_model, engine=engine).embed(mixed, of)
    np.testing.assert_allclose(vectors, classifier.embed(mixed, of=of), atol=1e-4 if engine == "onnxruntime" else 0.05)


def test_no_posts(classifier):
    assert classifier.embed([]).shape[0] == 0


def test_vectors_that_a_model_has_not(classifier, exported_model, posts):
    for one in (classifier.predictor(), load_predictor(exported_model)):
        with pytest.raises(SettingsError, match=r"of='audio': the model has no such vector; choose one of joint, text"):
            one.embed(posts, "audio")


def test_texts_of_a_single_stream_have_no_vector_without_a_probe(tiny_settings, parts):
    settings = tiny_settings | {"fusion": "single-stream", "epochs": 1, "probe": False, "train_layers": None}
    classifier = JointClassifier(**settings).fit(parts[0], validation=parts[1])
    assert np.isfinite(classifier.embed(parts[2])).all()
    with pytest.raises(SettingsError, match=r"of='text': the model has no such vector; choose one of joint, image"):
        classifier.embed(parts[2], of="text")


def test_an_export_of_an_earlier_version_says_how_to_get_vectors(exported_model, posts, tmp_path):
    onnx = pytest.importorskip("onnx")
    import shutil

    from jointune.inference.onnx_backend import GRAPH, VERIFIED
    from jointune.utils.files import MANIFEST, write_manifest

    folder = tmp_path / "earlier"
    shutil.copytree(exported_model, folder)
    graph = onnx.load(str(folder / GRAPH), load_external_data=False)
    del graph.graph.output[1:]
    onnx.save(graph, str(folder / GRAPH))
    (folder / MANIFEST).unlink()
    write_manifest(folder, VERIFIED)
    predictor = load_predictor(folder)
    assert len(list(predictor.stream(posts))) == 9
    with pytest.raises(
        BundleError, match=r"earlier holds no vectors: it was exported by an earlier .*export the bundle"
    ):
        predictor.embed(posts)
    assert "joint" in json.loads((exported_model / "export.json").read_text())["vectors"]
