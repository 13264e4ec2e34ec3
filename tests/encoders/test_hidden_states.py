"""Pooled hidden states of lower layers."""

import numpy as np
import pytest
import torch
import transformers

from jointune import JointClassifier
from jointune.encoders.hidden_states import HiddenStates, spread_layers
from jointune.errors import SettingsError


@pytest.fixture
def eight_layers():
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=8, num_attention_heads=2, intermediate_size=32
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertModel(config, add_pooling_layer=False).eval()


def test_they_are_spread_over_the_layers_that_are_trained(eight_layers):
    assert spread_layers(eight_layers, 0) == []
    assert spread_layers(eight_layers, 1) == [3]
    assert spread_layers(eight_layers, 3) == [1, 3, 5]
    assert spread_layers(eight_layers, 99) == [0, 1, 2, 3, 4, 5, 6]
    for layer in eight_layers.encoder.layer[:4]:
        layer.requires_grad_(False)
    eight_layers.embeddings.requires_grad_(False)
    assert spread_layers(eight_layers, 1) == [5]
    assert spread_layers(eight_layers, 99) == [4, 5, 6]
    assert spread_layers(torch.nn.Linear(2, 2), 2) == []


def test_they_are_the_means_over_real_tokens(eight_layers):
    ids = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
    mask = ids > 0

    def run(model):
        return model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)

    hidden_states = HiddenStates(eight_layers, [1, 4], run)
    assert hidden_states.widths == (16, 16)
    recording, pooled = hidden_states.recording(eight_layers, mask)
    run(recording)
    states = run(eight_layers).hidden_states
    for number in (1, 4):
        own = states[number + 1]
        torch.testing.assert_close(pooled[number], torch.stack([own[0].mean(0), own[1, :3].mean(0)]))
    assert list(pooled) == [1, 4]


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        pytest.param(
            lambda: transformers.ResNetModel(
                transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16], depths=[1, 1, 1])
            ),
            (8, 12),
            id="maps, channels first",
        ),
        pytest.param(
            lambda: transformers.ViTModel(
                transformers.ViTConfig(
                    hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, image_size=32
                )
            ),
            (16, 16),
            id="patches",
        ),
    ],
)
def test_pictures_too(make, shape):
    model, pixels = make().eval(), torch.rand(2, 3, 32, 32)
    assert HiddenStates(model, [0, 1], lambda model: model(pixel_values=pixels)).widths == shape


def test_channels_may_come_last():
    class Layer(torch.nn.Module):
        def forward(self, states):
            return states + 1

    layers = torch.nn.Sequential(Layer(), Layer(), Layer())
    states = torch.arange(2 * 4 * 4 * 3).view(2, 4, 4, 3).float()
    recording, pooled = HiddenStates(layers, [0], lambda model: model(states)).recording(layers)
    recording(states)
    torch.testing.assert_close(pooled[0], states.mean((1, 2)) + 1)


def test_a_model_learns_from_them_and_its_bundle_keeps_them(parts, tiny_settings, four_layers, tmp_path):
    training, held, test = parts
    settings = tiny_settings | {"text_encoder": four_layers, "train_layers": None, "epochs": 2}
    plain = JointClassifier(**settings, probe_depths=1).fit(training, validation=held)
    deep = JointClassifier(**settings).fit(training, validation=held)
    assert deep.encoders_["text"]["depths"] == [0, 2]
    assert deep.model_.text_encoder.widths == (16, 16, 16)
    assert plain.model_.text_encoder.widths == (16,)
    assert not np.allclose(deep.predict_proba(test), plain.predict_proba(test))
    deep.save(tmp_path / "model")
    again = JointClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(test), deep.predict_proba(test))
    for hidden in ("text", "image"):
        scores = again.predict_proba(test.without(hidden))
        np.testing.assert_allclose(scores, deep.predict_proba(test.without(hidden)))
        np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


def test_frozen_layers_that_were_run_once_change_nothing(parts, tiny_settings, four_layers, monkeypatch):
    from jointune import classifier

    training, held, test = parts
    settings = tiny_settings | {"text_encoder": four_layers, "train_layers": 3, "epochs": 2, "precision": "fp32"}
    once = JointClassifier(**settings).fit(training, validation=held)
    monkeypatch.setattr(classifier, "run_frozen_layers", lambda *_, **__: None)
    anew = JointClassifier(**settings).fit(training, validation=held)
    assert once.encoders_["text"]["depths"] == [1, 2]
    np.testing.assert_allclose(once.predict_proba(test), anew.predict_proba(test), atol=1e-5)


def test_there_is_one_depth_at_least(parts, tiny_settings):
    with pytest.raises(SettingsError, match="probe_depths"):
        JointClassifier(**tiny_settings, probe_depths=0).fit(parts[0])
