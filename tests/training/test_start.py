"""Training goes on from a bundle: what it knew is kept, new labels are added, and forgetting is seen."""

import json

import numpy as np
import pytest
import torch

from jointune import BundleError, JointClassifier, OutputError, Post, Posts, SettingsError, read_posts

ALIKE = {"epochs": 1, "epoch_steps": 1, "batch_size": 8, "precision": "fp32", "progress": False}
STILL = ALIKE | {"encoder_lr": 1e-10, "head_lr": 1e-10, "average_epochs": 0.0, "prefer_last": 0.0}


@pytest.fixture(scope="module")
def posts(posts_csv):
    return read_posts(posts_csv, split_column="split")


def test_almost_no_steps_change_almost_nothing(tiny_bundle, posts):
    old = JointClassifier.load(tiny_bundle)
    new = JointClassifier(**STILL).fit(posts, start=tiny_bundle)
    assert new.text_encoder == old.text_encoder
    assert new.classes_.tolist() == old.classes_.tolist()
    logits = [np.log(one.predict_proba(posts)) * float(one.model_.temperature) for one in (old, new)]
    centred = [one - one.mean(1, keepdims=True) for one in logits]
    np.testing.assert_allclose(centred[1], centred[0], atol=1e-3)
    assert new.start_metrics_.accuracy == old.evaluate(posts.in_split("validation")).accuracy


def test_a_new_label_gets_rows_of_its_own(tiny_bundle, posts, tmp_path):
    more = [Post(f"so so lunch {n}", label="mixed", split="train" if n % 3 else "validation") for n in range(12)]
    new = JointClassifier(**STILL).fit(Posts([*posts, *more], posts.name), start=tiny_bundle)
    old = JointClassifier.load(tiny_bundle)
    assert new.classes_.tolist() == ["mixed", "negative", "positive"]
    for name in ("head", "probe.linear"):
        weights = [one.model_.get_submodule(name).weight.detach() for one in (old, new)]
        torch.testing.assert_close(weights[1][1:], weights[0], atol=1e-5, rtol=0)
    assert new.start_metrics_.per_class["mixed"].recall == 0
    new.save(tmp_path / "new")
    metrics = json.loads((tmp_path / "new" / "metrics.json").read_text())
    assert metrics["validation_before"]["n"] == metrics["validation"]["n"]
    assert "before training" in (tmp_path / "new" / "README.md").read_text()
    assert JointClassifier.load(tmp_path / "new").predict(more[:2]).shape == (2,)


def test_labels_that_new_posts_lack_are_kept(tiny_bundle, posts):
    only = Posts([post for post in posts if post.label == "positive"], posts.name)
    mixed = Posts([*only, *(Post(f"bad {n}", label="odd", split=["train", "validation"][n % 2]) for n in range(8))])
    new = JointClassifier(**ALIKE).fit(mixed, start=tiny_bundle)
    assert new.classes_.tolist() == ["negative", "odd", "positive"]


def test_older_posts_are_learned_from_and_not_validated_on(tiny_bundle, posts):
    fresh = Posts([Post(f"happy today {n}", label=["positive", "negative"][n % 2]) for n in range(20)], "fresh.csv")
    new = JointClassifier(**ALIKE).fit(fresh, validation=0.2, start=tiny_bundle, replay=posts)
    counts = {part: sum(labels.values()) for part, labels in new.data_.items()}
    assert counts == {"training": 16 + len(posts.in_split("train")), "validation": 4}


def test_fields_keep_their_statistics(tiny_settings, posts, tmp_path):
    def with_size(first):
        return Posts(
            Post(post.text, post.image, post.label, post.split, fields={"size": str(first + n)})
            for n, post in enumerate(posts)
        )

    old = JointClassifier(**tiny_settings | {"number_columns": ["size"], "epochs": 0}).fit(with_size(0))
    old.save(tmp_path / "old")
    new = JointClassifier(**ALIKE).fit(with_size(1000), start=tmp_path / "old")
    assert new.number_columns == ["size"]
    assert new.preprocessors_["fields"].numbers == old.preprocessors_["fields"].numbers


def test_numbers_go_on_in_their_unit(tiny_settings, posts, tmp_path):
    def shifted(first):
        return Posts(Post(post.text, post.image, str(first + n / 10), post.split) for n, post in enumerate(posts))

    JointClassifier(**tiny_settings | {"target": "number", "epochs": 0}).fit(shifted(0)).save(tmp_path / "old")
    new = JointClassifier(**STILL).fit(shifted(0), start=tmp_path / "old")
    assert new.target == "number"
    assert new.metrics_.mae == pytest.approx(new.start_metrics_.mae, abs=0.01)


def test_settings_that_contradict_the_bundle(tiny_bundle, posts):
    with pytest.raises(SettingsError, match=r"fusion='concat': .*tiny, from which training starts, has 'gated'; leave"):
        JointClassifier(fusion="concat", **ALIKE).fit(posts, start=tiny_bundle)


def test_an_ordered_target_takes_no_new_labels(tiny_settings, posts, tmp_path):
    numbered = Posts(Post(p.text, p.image, str(1 + n % 3), p.split) for n, p in enumerate(posts))
    JointClassifier(**tiny_settings | {"target": "ordered", "epochs": 0}).fit(numbered).save(tmp_path / "old")
    more = Posts(Post(p.text, p.image, str(1 + n % 4), p.split) for n, p in enumerate(posts))
    with pytest.raises(SettingsError, match=r"start: the posts have other labels \(4\), and ordered ones cannot be"):
        JointClassifier(**ALIKE).fit(more, start=tmp_path / "old")


def test_what_is_no_bundle(exported_model, posts, tmp_path):
    with pytest.raises(BundleError):
        JointClassifier(**ALIKE).fit(posts, start=tmp_path)
    with pytest.raises(BundleError):
        JointClassifier(**ALIKE).fit(posts, start=exported_model)


def test_the_command_shows_both_scores(jointune, refused, tiny_bundle, exported_model, posts_csv, tmp_path):
    command = ["train", posts_csv, "--split-column", "split", "--epochs", "1", "--epoch-steps", "1", "--quiet"]
    out = ["--out", tmp_path / "more"]
    code, said = jointune(*command, "--start", tiny_bundle, "--replay", posts_csv, *out)
    assert code == 0, said
    assert "before, validation in fp32: accuracy" in said
    assert said.index("before, validation") < said.index("\nvalidation in fp32")
    refused(
        *command, "--start", tiny_bundle, "--fusion", "concat", *out, "--force", says=["--fusion concat", "'gated'"]
    )
    refused(*command, "--start", exported_model, *out, "--force", says=["exported model, which cannot be trained"])
    refused(*command, "--start", tmp_path / "none", *out, "--force", says=["none"])
    refused(*command, "--start", tiny_bundle, "--replay", "lost.csv", *out, "--force", says=["lost.csv"])


def test_a_resumed_run_knows_its_start(tiny_bundle, posts, tmp_path, tiny_settings):
    other = tmp_path / "other"
    JointClassifier(**tiny_settings | {"seed": 3, "epochs": 0}).fit(posts).save(other)
    JointClassifier(**ALIKE).fit(posts, start=tiny_bundle, checkpoint=tmp_path / "run")
    with pytest.raises(OutputError, match="unfinished run with other start"):
        JointClassifier(**ALIKE).fit(posts, start=other, checkpoint=tmp_path / "run", resume=True)
