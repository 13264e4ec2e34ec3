"""Settings in words."""

import functools
import json

from conftest import SumFusion
from jointune.training.tracking import loggable


def make_fusion(dims, dim=8):
    return SumFusion(dims)


class Maker:
    def make(self, dims):
        return SumFusion(dims)


def test_plain_values_stay():
    settings = {"seed": 1, "fusion": "gated", "probe": True, "warmup": 0.2, "lora": None, "normalise": ("links",)}
    assert loggable(settings) == settings | {"lora": "None", "normalise": "('links',)"}


def test_what_makes_a_fusion_is_spelled_alike_in_every_process():
    here = __name__
    assert loggable({"fusion": make_fusion}) == {"fusion": f"{here}.make_fusion"}
    assert loggable({"fusion": SumFusion}) == {"fusion": "conftest.SumFusion"}
    assert loggable({"fusion": Maker().make}) == {"fusion": f"{here}.Maker.make"}
    assert loggable({"fusion": Maker()}) == {"fusion": f"<{here}.Maker object>"}
    partial = functools.partial(make_fusion, dim=4)
    assert loggable({"fusion": partial}) == {"fusion": "functools.partial(<function make_fusion>, dim=4)"}
    json.dumps(loggable({"fusion": partial}))
