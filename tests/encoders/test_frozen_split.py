"""An encoder in two parts returns what it returns in one."""

import pytest
import torch
import transformers as t

from helpers.small_models import CONFIGS, SMALL, WORDS, inputs_of, make
from jointune.encoders.frozen_split import find_split
from jointune.encoders.layers import freeze_lower, layers_of


def runs(inputs):
    return lambda model: model(**inputs).last_hidden_state


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("keep", [1, 2])
def test_both_parts_return_what_the_whole_returns(name, keep):
    model = make(name).eval()
    run = runs(inputs_of(model))
    freeze_lower(model, keep, run)
    split = find_split(model, run)
    assert split is not None
    activations = split.activations(model, run)
    assert not activations.requires_grad
    ran = []
    layers_of(model)[0].register_forward_hook(lambda *_: ran.append(1))
    resumed = run(split.upper(model, activations))
    assert ran == []
    assert torch.equal(resumed, run(model))
    assert ran, "the model itself has not changed"
    resumed.sum().backward()
    assert any(parameter.grad is not None for parameter in layers_of(model)[-1].parameters())


def test_there_is_no_split_if_all_layers_are_trained():
    model = make("bert")
    run = runs(inputs_of(model))
    freeze_lower(model, 3, run)
    assert find_split(model, run) is None


def test_if_no_layer_is_trained_the_last_one_is_the_upper_part():
    model = make("bert").eval()
    run = runs(inputs_of(model))
    freeze_lower(model, 0, run)
    split = find_split(model, run)
    activations = split.activations(model, run)
    ran = []
    for layer in layers_of(model):
        layer.register_forward_hook(lambda layer, *_: ran.append(layer))
    run(split.upper(model, activations))
    assert ran == [layers_of(model)[-1]]


def test_there_is_no_split_if_the_upper_layers_need_more_than_activations():
    config = t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2)
    model = t.T5EncoderModel(config).get_encoder()
    run = runs({"input_ids": torch.arange(5, 11)[None]})
    freeze_lower(model, 1, run)
    assert find_split(model, run) is None
    assert torch.isfinite(run(model)).all()


def test_mode_and_weights_stay():
    model = t.BertModel(t.BertConfig(**SMALL, **WORDS)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run = runs(inputs_of(model))
    freeze_lower(model, 1, run)
    find_split(model, run)
    assert model.training
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
