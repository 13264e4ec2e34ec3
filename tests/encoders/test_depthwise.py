"""Depthwise convolutions: what is computed in another way than torch's own must come to the same."""

import copy

import pytest
import torch
import transformers as t
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from jointune.encoders.depthwise import depthwise_conv2d, speed_up_depthwise


def gradients(output: Tensor, *inputs: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return list(torch.autograd.grad((output.float() * weights).sum(), inputs))


@settings(deadline=None, max_examples=60)
@given(
    kernel=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 9]),
    stride=st.sampled_from([1, 2, 3]),
    pads=st.tuples(*[st.integers(0, 4)] * 4),
    size=st.tuples(st.integers(9, 15), st.integers(9, 15)),
    seed=st.integers(0, 99),
)
def test_outputs_and_gradients_are_those_of_torch(kernel, stride, pads, size, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 6, *size, generator=generator, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, generator=generator, requires_grad=True)
    bias = torch.randn(6, generator=generator, requires_grad=True)
    true = functional.conv2d(functional.pad(x, pads), weight, bias, stride, groups=6)
    with torch.autocast("cpu", torch.bfloat16):
        output = depthwise_conv2d(x, weight, bias, stride, pads)
    assert output.dtype == torch.bfloat16
    expected, found = gradients(true, x, weight, bias), gradients(output, x, weight, bias)
    for wanted, got in zip([true, *expected], [output, *found], strict=True):
        assert got.shape == wanted.shape
        # bfloat16 has eight bits: each of the numbers that are added up is off by up to one in 256.
        torch.testing.assert_close(got.float(), wanted, rtol=0.03, atol=0.03 * float(wanted.detach().abs().max()))


def test_in_float32_it_is_torch_s_own() -> None:
    x, weight, bias = torch.randn(2, 4, 9, 9), torch.randn(4, 1, 5, 5), torch.randn(4)
    output = depthwise_conv2d(x, weight, bias, 2, (1, 2, 1, 2))
    assert torch.equal(output, functional.conv2d(functional.pad(x, (1, 2, 1, 2)), weight, bias, 2, groups=4))


def test_only_what_is_trained_gets_gradients() -> None:
    x, weight = torch.randn(2, 4, 9, 9), torch.randn(4, 1, 5, 5)
    bias = torch.randn(4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(x, weight, bias, 1, (2, 2, 2, 2)).sum().backward()
    assert x.grad is None
    assert weight.grad is None
    torch.testing.assert_close(bias.grad, torch.full((4,), 2 * 81.0))


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(8, 8, 7, padding=3, groups=8),
        nn.Conv2d(8, 8, 5, 2, padding=(2, 1), groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding="same", groups=8),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, padding_mode="reflect"),
        nn.Conv2d(8, 8, 5, padding=4, groups=8, dilation=2),
        nn.Conv2d(8, 8, (5, 3), padding=2, groups=8),
        nn.Conv2d(8, 16, 5, padding=2, groups=8),
        nn.Conv2d(8, 8, 5, padding=2),
    ],
    ids=str,
)
def test_any_convolution_of_a_model_says_what_it_said(convolution: nn.Conv2d) -> None:
    x = torch.randn(2, 8, 12, 12)
    quick = copy.deepcopy(convolution)
    speed_up_depthwise(nn.Sequential(quick))
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = convolution(x), quick(x)
    torch.testing.assert_close(found, expected)
    wanted = gradients(expected, *convolution.parameters())
    for got, true in zip(gradients(found, *quick.parameters()), wanted, strict=True):
        torch.testing.assert_close(got, true, rtol=0.03, atol=0.03 * float(true.abs().max()))


def test_a_model_s_copy_runs_by_its_own_weights() -> None:
    model = t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)).eval()
    speed_up_depthwise(model)
    twin = copy.deepcopy(model)
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = twin(pixels).last_hidden_state
        for weight in model.parameters():
            weight.zero_()
        assert torch.equal(twin(pixels).last_hidden_state, before)
    assert list(twin.state_dict()) == list(model.state_dict())
