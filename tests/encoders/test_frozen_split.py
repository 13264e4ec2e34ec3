"""An encoder in two parts gives what it gives in one."""

import pytest
import torch
import transformers as t

from helpers.small_models import CONFIGS, SMALL, WORDS, inputs_of, make
from jointune.encoders.frozen_split import find_boundary
from jointune.encoders.layers import freeze_lower, layers_of


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("keep", [1, 2])
def test_below_and_above_give_the_whole(name, keep):
    model = make(name).eval()
    inputs = inputs_of(model)

    def run():
        return model(**inputs).last_hidden_state

    freeze_lower(model, keep, run)
    boundary = find_boundary(model, run)
    assert boundary is not None
    states = boundary.below(run)
    assert not states.requires_grad
    ran = []
    layers_of(model)[0].register_forward_hook(lambda *_: ran.append(1))
    with boundary.given(states):
        assert torch.equal(run(), model(**inputs).last_hidden_state)
        assert ran == []
        run().sum().backward()
    assert torch.equal(run(), model(**inputs).last_hidden_state)
    assert ran, "the model is whole again"
    assert any(parameter.grad is not None for parameter in layers_of(model)[-1].parameters())


def test_there_is_none_where_all_is_trained():
    model = make("bert")
    run = lambda: model(**inputs).last_hidden_state  # noqa: E731
    inputs = inputs_of(model)
    freeze_lower(model, 3, run)
    assert find_boundary(model, run) is None


def test_where_none_is_trained_all_but_the_last_layer_is_below():
    model = make("bert").eval()
    run = lambda: model(**inputs).last_hidden_state  # noqa: E731
    inputs = inputs_of(model)
    freeze_lower(model, 0, run)
    boundary = find_boundary(model, run)
    ran = []
    for layer in layers_of(model):
        layer.register_forward_hook(lambda layer, *_: ran.append(layer))
    with boundary.given(boundary.below(run)):
        ran.clear()
        run()
    assert ran == [layers_of(model)[-1]]


def test_there_is_none_where_the_upper_layers_need_more_than_states():
    config = t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=3, num_heads=2)
    model = t.T5EncoderModel(config).get_encoder()
    inputs = {"input_ids": torch.arange(5, 11)[None]}
    run = lambda: model(**inputs).last_hidden_state  # noqa: E731
    freeze_lower(model, 1, run)
    assert find_boundary(model, run) is None
    assert torch.isfinite(run()).all()


def test_the_mode_and_the_weights_stay():
    model = t.BertModel(t.BertConfig(**SMALL, **WORDS)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = inputs_of(model)
    freeze_lower(model, 1, lambda: model(**inputs))
    find_boundary(model, lambda: model(**inputs).last_hidden_state)
    assert model.training
    assert before.keys() == model.state_dict().keys()
