"""The linear probe, and training that starts from it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jointune import JointClassifier, SettingsError, read_posts
from jointune.targets.single_label import SingleLabel
from jointune.training import probe as probe_module
from jointune.training.probe import FEW_TO_CHOOSE, STRENGTHS, fit_probe, sample

WIDTHS = {"text": (3,), "image": (12,)}
THREE = SingleLabel(["a", "b", "c"])


def features(count: int, seed: int = 0, shift: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Three features of text and twelve of picture; either tells the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.random.default_rng(7).normal(size=(3, 15))
    return (shift * centres[labels] + random.normal(size=(count, 15))).astype(np.float32), labels


def probabilities(probe, x) -> np.ndarray:
    return THREE.activate(probe.logits(x))


def accuracy(probe, x, labels) -> float:
    return float((probe.logits(x).argmax(1) == labels).mean())


def test_it_finds_what_is_linear():
    (x, y), (held, truth), (new, wanted) = features(60), features(30, 1), features(300, 2)
    probe = fit_probe(x, y, held, truth, WIDTHS, THREE)
    assert accuracy(probe, new, wanted) > 0.95
    assert probe.logits(new).dtype == np.float64


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-100, 100))
def test_the_units_of_a_feature_do_not_matter(scale, offset):
    (x, y), (held, truth) = features(60, shift=0.5), features(30, 1, 0.5)
    change = np.ones(15, dtype=np.float32)
    change[4] = scale
    plain = probabilities(fit_probe(x, y, held, truth, WIDTHS, THREE), held)
    other = fit_probe(
        x * change + offset * (change != 1), y, held * change + offset * (change != 1), truth, WIDTHS, THREE
    )
    np.testing.assert_allclose(probabilities(other, held * change + offset * (change != 1)), plain, atol=0.02)


def test_a_missing_modality_is_an_average_one():
    (x, y), (held, truth), (new, wanted) = features(90), features(30, 1), features(300, 2)
    probe = fit_probe(x, y, held, truth, WIDTHS, THREE, modality_dropout=0.3)
    for hidden in (slice(0, 3), slice(3, 15)):
        partly = new.copy()
        partly[:, hidden] = np.nan
        assert accuracy(probe, partly, wanted) > 0.6
    nothing = np.full((1, 15), np.nan, dtype=np.float32)
    np.testing.assert_allclose(probabilities(probe, nothing), 1 / 3, atol=0.1)


def test_a_modality_that_no_post_has_says_nothing():
    (x, y), (held, truth) = features(60), features(30, 1)
    x[:, 3:], held[:, 3:] = np.nan, np.nan
    probe = fit_probe(x, y, held, truth, WIDTHS, THREE, modality_dropout=0.3)
    assert np.isfinite(probe.weight).all()
    assert not probe.weight[:, 3:].any()


@pytest.mark.parametrize("classes", [2, 3])
def test_two_labels_are_like_more(classes):
    x, _ = features(60)
    y = (x[:, 0] > 0).astype(int) if classes == 2 else np.arange(60) % 3
    probe = fit_probe(x, y, x, y, WIDTHS, SingleLabel("abc"[:classes]))
    assert probe.weight.shape == (classes, 15)
    assert accuracy(probe, x, y) > 0.9


def test_class_weights_count():
    (x, y), (held, truth) = features(90, shift=0.1), features(60, 1, 0.1)
    heavy = fit_probe(x, y, held, truth, WIDTHS, THREE, np.array([50.0, 1.0, 1.0]))
    assert (heavy.logits(held).argmax(1) == 0).mean() > 0.8


def test_without_epochs_the_probe_is_the_model(parts, tiny_settings):
    learn, held, test = parts
    frozen = JointClassifier(**tiny_settings | {"epochs": 0}).fit(learn, validation=held)
    assert [entry["step"] for entry in frozen.log_] == [0]
    probe = frozen.model_.probe.linear
    assert frozen.trained_parameters_ == probe.weight.numel() + probe.bias.numel()
    before = {name: value.clone() for name, value in frozen.model_.encoders["text"].state_dict().items()}
    again = JointClassifier(**tiny_settings | {"epochs": 0}).fit(learn, validation=held)
    for name, value in again.model_.encoders["text"].state_dict().items():
        torch.testing.assert_close(value, before[name])
    np.testing.assert_array_equal(frozen.predict_proba(test), again.predict_proba(test))


def test_training_starts_from_the_probe(parts, tiny_settings):
    learn, held, _ = parts
    frozen = JointClassifier(**tiny_settings | {"epochs": 0}).fit(learn, validation=held)
    tuned = JointClassifier(**tiny_settings).fit(learn, validation=held)
    assert tuned.log_[0]["log_loss"] == pytest.approx(frozen.log_[0]["log_loss"])
    assert tuned.log_[0]["loss"] is None
    assert tuned.log_[1]["step"] > 0
    plain = JointClassifier(**tiny_settings | {"probe": False}).fit(learn, validation=held)
    assert plain.model_.probe is None
    assert plain.log_[0]["step"] > 0


def test_a_bundle_keeps_its_probe(parts, tiny_settings, tmp_path):
    learn, held, test = parts
    for probe in (True, False):
        classifier = JointClassifier(**tiny_settings | {"probe": probe}).fit(learn, validation=held)
        classifier.save(tmp_path / str(probe))
        loaded = JointClassifier.load(tmp_path / str(probe))
        np.testing.assert_array_equal(loaded.predict_proba(test), classifier.predict_proba(test))


def test_an_epoch_has_a_least_number_of_steps(parts, tiny_settings):
    learn, held, _ = parts
    classifier = JointClassifier(**tiny_settings | {"epoch_steps": 10, "epochs": 1, "patience": 5})
    classifier.fit(learn, validation=held)
    passes = -(-10 // -(-len(learn) // 8))
    assert classifier.log_[-1]["step"] == passes * -(-len(learn) // 8)
    assert classifier.log_[-1]["epoch"] == 1.0


def test_nothing_to_train_is_told(parts, tiny_settings):
    with pytest.raises(SettingsError, match="nothing would be trained"):
        JointClassifier(**tiny_settings | {"epochs": 0, "probe": False}).fit(parts[0], validation=parts[1])


@given(st.integers(1, 60), st.integers(4, 60), st.integers(0, 99))
def test_a_sample_has_every_label(count, most, seed):
    labels = np.random.default_rng(seed).integers(0, 4, count)
    chosen = sample(labels, most, seed)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert set(labels[chosen]) == set(labels)
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, sample(labels, most, seed))


def test_a_probe_of_some_posts_is_a_good_start_too(posts_csv, tiny_settings, monkeypatch):
    posts = read_posts(posts_csv, split_column="split")
    learn, held = posts.in_split("train"), posts.in_split("validation")
    frozen = tiny_settings | {"epochs": 0, "probe": True}
    every = JointClassifier(**frozen).fit(learn, validation=held)
    # 10,000 posts would take minutes.
    monkeypatch.setattr(probe_module, "MOST_POSTS", len(learn) // 2)
    half = JointClassifier(**frozen).fit(learn, validation=held)
    assert half.metrics_.log_loss != every.metrics_.log_loss
    assert half.metrics_.accuracy >= every.metrics_.accuracy - 0.35
    assert half.metrics_.accuracy > 1 / 3


def test_training_posts_help_few_validation_posts_to_choose():
    (x, y), (held, _) = features(90), features(FEW_TO_CHOOSE, 1)
    wrong = (np.arange(FEW_TO_CHOOSE) + 1) % 3  # they would choose the probe that says the least
    assert fit_probe(x, y, held, wrong, WIDTHS, THREE).strength == STRENGTHS[0]
    assert fit_probe(x, y, held[:3], wrong[:3], WIDTHS, THREE).strength > STRENGTHS[0]


def test_the_only_post_of_a_label_is_learned_from_in_every_fold():
    (x, _), (held, _) = features(60), features(3, 1)
    labels = np.where(np.arange(60) == 7, 2, np.arange(60) % 2)
    probe = fit_probe(x, labels, held, np.arange(3), WIDTHS, THREE)
    assert probe.weight.shape == (3, 15)
    assert np.isfinite(probe.weight).all()
