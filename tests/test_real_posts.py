"""The real encoders on real posts, where these are at hand."""

import csv
import sys

import numpy as np
import pytest

from conftest import MVSA, needs_mvsa, write_rows
from jointune import JointClassifier, read_posts
from jointune.encoders import packaged
from jointune.errors import EncoderError
from jointune.export.exporter import export

pytestmark = [pytest.mark.slow, needs_mvsa]


def test_real_posts_can_be_used(jointune, tmp_path):
    with open(MVSA, newline="", encoding="utf-8") as file:
        rows = [row | {"image": MVSA.parent / row["image"]} for row in csv.DictReader(file)]
    assert len(rows) == 4061
    posts = write_rows(tmp_path / "posts.csv", rows[::10])
    code, said = jointune("check", posts, "--split-column", "split", "--quiet")
    assert code == 0, said
    assert "407 posts, all usable" in said


def test_training_on_real_posts_beats_the_label_counts_and_its_result_is_saved_and_exported(tmp_path, monkeypatch):
    """Two passes over 64 posts: the likelihood of held-out posts is better than that of always naming the shares."""
    posts = read_posts(MVSA, split_column="split")
    training, held = posts.in_split("train")[:64], posts.in_split("validation")[:64]
    settings = {"epochs": 2, "epoch_steps": 1, "evaluations_per_epoch": 1, "batch_size": 16, "seed": 0}
    classifier = JointClassifier(**settings, progress=False).fit(training, validation=held)
    shares = np.array([training.labels.count(label) for label in classifier.classes_]) / len(training)
    chance = -np.mean([np.log(shares[list(classifier.classes_).index(label)]) for label in held.labels])
    assert classifier.metrics_.log_loss < chance - 0.05
    assert classifier.metrics_.auroc > 0.6
    assert [entry["step"] for entry in classifier.log_] == [0, 4, 8]
    classifier.save(tmp_path / "bundle")
    # Neither a network nor the encoders' packages are needed from here on.
    for package in (packaged.MINILM_L6, packaged.EFFICIENTNET_LITE0):
        monkeypatch.setitem(sys.modules, package.module, None)
        with pytest.raises(EncoderError, match="is not installed"):
            package.locate()
    loaded = JointClassifier.load(tmp_path / "bundle")
    np.testing.assert_array_equal(loaded.predict_proba(held[:16]), classifier.predict_proba(held[:16]))

    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    report = export(loaded, tmp_path / "light", int8=True, posts=held[:40], allow_loss=5)
    assert report["fp32"]["difference"] < 1e-4
    assert report["fp32"]["same"] == 1
    assert report["int8"]["bytes"] < report["fp32"]["bytes"]
