"""Fusions of one's own: their factory and their forward."""

import pytest
import torch

from conftest import SumFusion
from jointune import JointClassifier, SettingsError
from jointune.fusion.registry import make_fusion

DIMS = {"text": 12, "image": 20}
SAYS = r"give it __init__\(dims\), .* and forward\(outputs, present\)"


class MadeByPairs(torch.nn.Module):
    dim = 8

    def __init__(self, text_dim, image_dim):
        super().__init__()


class CalledByPairs(torch.nn.Module):
    dim = 8

    def __init__(self, dims):
        super().__init__()

    def forward(self, text, image):
        return text.pooled


class CalledWithOne(CalledByPairs):
    def forward(self, outputs):
        return outputs["text"].pooled


class WithoutWidth(SumFusion):
    def __init__(self, dims):
        super().__init__(dims)
        del self.dim


@pytest.mark.parametrize(
    ("fusion", "says"),
    [
        (MadeByPairs, r"MadeByPairs cannot be made with \(dims\): it takes \(text_dim, image_dim\)"),
        (CalledByPairs, r"CalledByPairs cannot be called with \(outputs, present\): it takes \(text, image\)"),
        (CalledWithOne, r"CalledWithOne cannot be called with \(outputs, present\): it takes \(outputs\)"),
    ],
)
def test_another_signature_is_one_clear_error(fusion, says):
    with pytest.raises(SettingsError, match=f"{says}.*{SAYS}") as refusal:
        make_fusion(fusion, DIMS)
    assert refusal.value.setting == "fusion"


def test_it_is_told_before_training(tiny_settings, parts):
    with pytest.raises(SettingsError, match="CalledByPairs"):
        JointClassifier(**tiny_settings, fusion=CalledByPairs).fit(parts[0], validation=parts[1])


def test_a_factory_may_be_any_function_of_the_widths():
    assert make_fusion(lambda dims: SumFusion(dims), DIMS).dim == 8
    assert make_fusion(SumFusion, DIMS).dim == 8
    with pytest.raises(SettingsError, match="WithoutWidth needs an attribute `dim`"):
        make_fusion(WithoutWidth, DIMS)
