"""The real encoders on real posts, where these are at hand."""

import numpy as np
import pytest

from conftest import MVSA, needs_mvsa
from jointune import JointClassifier, read_posts
from jointune.encoders import packaged

pytestmark = [pytest.mark.slow, needs_mvsa]


def test_every_real_post_can_be_used(jointune):
    code, said = jointune("check", MVSA, "--split-column", "split", "--quiet")
    assert code == 0, said
    assert "4,061 posts, all usable" in said


def test_a_few_steps_on_real_posts_beat_the_label_counts(tmp_path, monkeypatch):
    """Two passes over 96 posts: the likelihood of held-out posts is better than that of always naming the shares."""
    posts = read_posts(MVSA, split_column="split")
    training, held = posts.in_split("train")[:96], posts.in_split("validation")[:80]
    settings = {"epochs": 2, "epoch_steps": 1, "evaluations_per_epoch": 1, "batch_size": 16, "seed": 0}
    classifier = JointClassifier(**settings, progress=False).fit(training, validation=held)
    shares = np.array([training.labels.count(label) for label in classifier.classes_]) / len(training)
    chance = -np.mean([np.log(shares[list(classifier.classes_).index(label)]) for label in held.labels])
    assert classifier.metrics_.log_loss < chance - 0.05
    assert classifier.metrics_.auroc > 0.6
    assert [entry["step"] for entry in classifier.log_] == [0, 6, 12]
    classifier.save(tmp_path / "bundle")
    # Neither a network nor the encoders' packages are needed from here on.
    monkeypatch.setattr(packaged.BuiltIn, "locate", lambda self: pytest.fail("the encoder's package was looked for"))
    loaded = JointClassifier.load(tmp_path / "bundle")
    np.testing.assert_array_equal(loaded.predict_proba(held[:40]), classifier.predict_proba(held[:40]))
