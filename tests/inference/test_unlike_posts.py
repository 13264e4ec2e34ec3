"""Posts unlike the training posts, from training to the answer: bundle, export, command, service, page, Python."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from jointune import BundleError, JointClassifier, SettingsError, read_posts
from jointune.evaluation.unlike import UNLIKE
from jointune.inference.load import load_predictor


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_training_keeps_vectors(tiny_bundle):
    with np.load(tiny_bundle / UNLIKE) as file:
        shapes = {name: file[name].shape for name in file.files if name.endswith(".rows")}
    assert {name: rows for name, (rows, _) in shapes.items()} == {"text.rows": 32, "image.rows": 32}


@pytest.mark.parametrize("kind", ["tiny_bundle", "exported_model"])
def test_vectors_may_be_deleted_but_not_altered(request, kind, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(request.getfixturevalue(kind), folder)
    kept = (folder / UNLIKE).read_bytes()
    (folder / UNLIKE).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(BundleError, match=UNLIKE):
        load_predictor(folder, "cpu" if kind == "tiny_bundle" else None)
    (folder / UNLIKE).unlink()
    load_predictor(folder, "cpu" if kind == "tiny_bundle" else None)
    with pytest.raises(SettingsError, match="no vectors are kept"):
        load_predictor(folder, "cpu" if kind == "tiny_bundle" else None, ood=True)


@pytest.fixture(scope="module")
def found(tiny_bundle, posts_csv):
    return JointClassifier.load(tiny_bundle).unlike(read_posts(posts_csv))


@pytest.mark.parametrize("kind", ["tiny_bundle", "exported_model"])
def test_predict_says_how_unlike_each_post_is(jointune, request, kind, posts_csv, found, tmp_path):
    folder, out, plain = request.getfixturevalue(kind), tmp_path / "out.csv", tmp_path / "plain.csv"
    code, said = jointune("predict", folder, posts_csv, "--out", out, "--ood", "--coverage", 0.8)
    assert code == 0, said
    rows = rows_of(out)
    parts = ["unlike_text", "unlike_image", "unlike_pairing"]
    assert list(rows[0])[-7:] == ["prediction_set", "unlike_score", "unlike", *parts, "max_logit"]
    np.testing.assert_allclose([float(row["max_logit"]) for row in rows], [f.max_logit for f in found], atol=1e-3)
    np.testing.assert_allclose([float(row["unlike_score"]) for row in rows], [f.unlike_score for f in found], atol=0.02)
    assert np.mean([row["unlike"] == one.unlike for row, one in zip(rows, found, strict=True)]) > 0.9
    assert jointune("predict", folder, posts_csv, "--out", plain)[0] == 0
    for row, same in zip(rows, rows_of(plain), strict=True):
        assert float(row["confidence"]) == pytest.approx(float(same["confidence"]), abs=1e-6)


def test_a_stranger_is_told_by_its_image(tiny_bundle, tmp_path):
    from PIL import Image

    Image.effect_noise((40, 36), 200).convert("RGB").save(tmp_path / "noise.png")
    model = JointClassifier.load(tiny_bundle)
    text = "good happy lunch"
    (odd,) = model.unlike([{"text": text, "image": str(tmp_path / "noise.png")}])
    assert odd.unlike_score > 1
    assert "image" in odd.unlike
    (alone,) = model.unlike([{"text": text}])
    assert alone.unlike in ("", "text")
    assert list(alone.response()["unlike_parts"]) == ["text"]


def test_the_service_and_the_page_say_it(tiny_bundle, posts_csv):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app
    from jointune.ui.one_post import judge

    predictor = load_predictor(tiny_bundle, "cpu", ood=True)
    noise = np.random.default_rng(0).integers(0, 255, (36, 40, 3), dtype=np.uint8)
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    with TestClient(make_app(predictor), "http://localhost:8000") as client:
        answer = client.post("/predict", data={"text": "good"}, files={"image": file.getvalue()}).json()
    assert answer["unlike_score"] > 1
    assert "image" in answer["unlike"]
    assert answer["unlike_parts"]["image"] > 1
    path = posts_csv.with_name("stranger.png")
    try:
        path.write_bytes(file.getvalue())
        assert any("picture is unlike the training posts" in line for line in judge(predictor, "good", path).sentences)
    finally:
        path.unlink()


def test_a_bundle_without_vectors_says_so(refused, posts_csv, tmp_path):
    old = Path(__file__).parents[1] / "persistence" / "old_bundle"
    with pytest.raises(SettingsError, match="no vectors are kept"):
        load_predictor(old, ood=True)
    refused("predict", old, posts_csv, "--out", tmp_path / "out.csv", "--ood", says=["--ood", "train it anew"])


def test_the_vectors_kept_are_as_many_as_wanted(tiny_settings, posts_csv, tmp_path):
    posts = read_posts(posts_csv)

    def kept(most):
        folder = tmp_path / f"kept{len(list(tmp_path.iterdir()))}"
        settings = tiny_settings | {"epochs": 0, "keep_vectors": most}
        JointClassifier(**settings).fit(posts, validation=0.2).save(folder)
        if not (folder / UNLIKE).exists():
            return None
        with np.load(folder / UNLIKE) as file:
            return file["text.rows"], file["text.mean"]

    rows, mean = kept(8)
    assert len(rows) == 8
    np.testing.assert_array_equal(mean, kept(8)[1])  # the same eight posts
    assert len(kept(10_000)[0]) > 8
    assert kept(0) is None
