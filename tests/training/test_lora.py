"""Training low-rank updates beside the encoders' linear layers."""

import signal
import sys

import numpy as np
import pytest
import torch

from helpers.watched_forward import watched
from jointune import JointClassifier
from jointune.errors import InterruptedTraining, MissingExtraError, SettingsError
from jointune.model import JointModel

pytest.importorskip("peft", reason="needs the extra lora")


@pytest.fixture
def settings(tiny_settings, four_layers):
    return tiny_settings | {"text_encoder": four_layers, "epochs": 2}


def test_the_updates_are_trained_and_end_as_part_of_the_weights(parts, settings, tmp_path):
    from transformers import AutoModel

    training, held, test = parts
    whole = JointClassifier(**settings, train_layers=0.5).fit(training, validation=held)
    low = JointClassifier(**settings, train_layers=0.5, lora=2).fit(training, validation=held)
    assert low.trained_parameters_ < whole.trained_parameters_
    before = AutoModel.from_pretrained(settings["text_encoder"], add_pooling_layer=False).state_dict()
    after = low.model_.encoders["text"].model.state_dict()
    assert after.keys() == before.keys()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved
    assert all(key.split(".")[2] in "23" and "LayerNorm" not in key and key.endswith("weight") for key in moved)
    for key in moved:
        update = (after[key] - before[key]).double()
        assert torch.linalg.matrix_rank(update, rtol=1e-3) <= 2
    low.save(tmp_path / "model")
    np.testing.assert_array_equal(JointClassifier.load(tmp_path / "model").predict_proba(test), low.predict_proba(test))


def test_a_seed_gives_the_same_numbers_twice(parts, settings):
    training, held, test = parts
    one, other = (
        JointClassifier(**settings, lora=2).fit(training, validation=held).predict_proba(test) for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_it_resumes(parts, settings, tmp_path):
    training, held, test = parts
    straight = JointClassifier(**settings, lora=2).fit(training, validation=held)
    trained = []

    def stop(model, _):
        trained.append(model.training)
        if model.training and sum(trained) == 4:
            signal.raise_signal(signal.SIGINT)

    with watched(JointModel, stop), pytest.raises(InterruptedTraining):
        JointClassifier(**settings, lora=2).fit(training, validation=held, checkpoint=tmp_path / "state")
    resumed = JointClassifier(**settings, lora=2).fit(
        training, validation=held, checkpoint=tmp_path / "state", resume=True
    )
    np.testing.assert_array_equal(straight.predict_proba(test), resumed.predict_proba(test))


def test_a_rank_is_at_least_one(parts, settings):
    with pytest.raises(SettingsError, match="lora=0: it must be at least 1"):
        JointClassifier(**settings, lora=0).fit(parts[0])


def test_without_the_package_it_names_what_brings_it(parts, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"\.\[lora\]"):
        JointClassifier(**settings, lora=2).fit(parts[0], validation=parts[1])
