"""Which layers are trained: the upper ones, whatever the architecture, and no gradient is computed below them."""

import pytest
import torch
import transformers as t
from torch import nn

from helpers.small_models import CONFIGS, SMALL, WORDS, inputs_of, make
from jointune.encoders.layers import freeze_lower, layers_of, recompute_layers


def changed(model, step):
    before = {name: value.clone() for name, value in model.named_parameters()}
    step()
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


def train_a_step(model):
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model(**inputs_of(model)).last_hidden_state.square().sum().backward()
    torch.optim.SGD(weights, lr=0.1).step()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("keep", [1, 0.5])
def test_only_the_upper_layers_and_what_follows_them_learn(name, keep):
    model = make(name)
    freeze_lower(model, keep, lambda model: model(**inputs_of(model)))
    layers = layers_of(model)
    assert len(layers) == 3
    trained = {1: 1, 0.5: 2}[keep]
    moved = changed(model, lambda: train_a_step(model))
    place = {id(parameter): name for name, parameter in model.named_parameters()}
    own = [{place[id(parameter)] for parameter in layer.parameters()} for layer in layers]
    assert all(moved & names for names in own[3 - trained :])
    assert not any(moved & names for names in own[: 3 - trained])
    assert not any("embed" in name and "layernorm" not in name.lower() for name in moved)


@pytest.mark.parametrize("name", CONFIGS)
def test_no_gradient_is_computed_below(name):
    model = make(name)
    freeze_lower(model, 1, lambda model: model(**inputs_of(model)))
    seen = []
    layers_of(model)[1].register_forward_hook(
        lambda module, inputs, output: seen.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    assert model(**inputs_of(model)).last_hidden_state.requires_grad
    assert not seen[0].requires_grad


@pytest.mark.parametrize("name", CONFIGS)
def test_no_layer_may_be_trained_at_all(name):
    model = make(name)
    freeze_lower(model, 0, lambda model: model(**inputs_of(model)))
    assert not any(parameter.requires_grad for layer in layers_of(model) for parameter in layer.parameters())


@pytest.mark.parametrize("keep", [3, 7, 0.99, 0.7])
def test_all_layers_means_all_of_the_encoder(keep):
    model = make("bert")
    freeze_lower(model, keep, lambda model: model(**inputs_of(model)))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_an_encoder_whose_layers_share_weights_is_trained_as_a_whole():
    model = t.AlbertModel(t.AlbertConfig(**SMALL, **WORDS, embedding_size=8), add_pooling_layer=False)
    assert layers_of(model) == []
    freeze_lower(model, 1, lambda model: model(**inputs_of(model)))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_layers_are_told_apart_in_a_plain_sequence_too():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    freeze_lower(model, 2, lambda model: model(torch.zeros(1, 2)))
    assert [layer.weight.requires_grad for layer in model] == [False, True, True]


@pytest.mark.parametrize("name", ["bert", "vit", "resnet"])
def test_computing_layers_twice_gives_the_same_gradients(name):
    plain, twice = make(name).eval(), make(name).eval()
    recompute_layers(twice)
    counted = []
    layers_of(twice)[1].register_forward_pre_hook(lambda *_: counted.append(1))
    next(module for module in layers_of(twice)[1].modules() if not list(module.children())).register_forward_pre_hook(
        lambda *_: counted.append(2)
    )
    inputs = inputs_of(plain)
    for model in (plain, twice):
        model(**inputs).last_hidden_state.square().sum().backward()
    assert counted.count(1) == 1
    assert counted.count(2) == 2
    for (parameter_name, one), other in zip(plain.named_parameters(), twice.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), parameter_name
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad)
    assert twice.state_dict().keys() == plain.state_dict().keys()
