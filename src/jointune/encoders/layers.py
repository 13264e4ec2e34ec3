"""The layers of an encoder: which are trained, how they are run, and how single ones are replaced."""

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from jointune.encoders.encoder_output import last_states


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a transformer, or the blocks or stages of a convolutional network, lowest first.

    They are the parts of the largest list or sequence of modules in ``model``, as in the architectures of transformers
    and timm. There are none in a model of a single layer, or of layers that share their weights, as ALBERT's do.
    """
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList | nn.Sequential) and len(part) > 1]
    return list(max(lists, key=lambda part: sum(p.numel() for p in part.parameters()))) if lists else []


class Substitute(nn.Module):
    """Takes the place of a module in a copy of its model, and has all its attributes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)  # such as the kind of attention that a layer has


def replace_modules(model: nn.Module, substitutes: Mapping[str, nn.Module]) -> nn.Module:
    """Return a copy of a model that runs ``substitutes`` in place of some of its modules.

    Only the modules around them are copied, and shallowly: weights, buffers and all other layers are shared. The model
    itself does not change, so other threads may run it meanwhile. Run it once before its copies: the first run of some
    models of transformers adds hooks to their layers, and notes in the model that they are there.

    Args:
        model: the model.
        substitutes: by the dotted name of the module that they replace.
    """
    copied = copy.copy(model)
    copied._modules = dict(model._modules)
    inner: dict[str, dict[str, nn.Module]] = defaultdict(dict)
    for name, substitute in substitutes.items():
        child, _, rest = name.partition(".")
        if rest:
            inner[child][rest] = substitute
        else:
            copied._modules[child] = substitute
    for child, nested in inner.items():
        copied._modules[child] = replace_modules(model.get_submodule(child), nested)
    return copied


def names_in(model: nn.Module, module: nn.Module) -> list[str]:
    """Return the dotted names of a module in a model; it may have several."""
    return [name for name, other in model.named_modules(remove_duplicate=False) if other is module]


def freeze_lower(model: nn.Module, keep: float, run: Callable[[nn.Module], Any]) -> None:
    """Freeze the lower layers, and whatever comes before them.

    The features of the lowest layers are general (Yosinski et al., 2014, arXiv 1411.1792), and in a convolutional
    network they cost the most to train: the lower a layer, the larger its maps.

    Args:
        model: the model of an encoder; changed in place.
        keep: how many of the uppermost layers are trained; less than 1 is their share, rounded up. If that is all of
            them, or the model has no layers that could be told apart, the whole model is trained.
        run: passes an example through the model.
    """
    layers = layers_of(model)
    frozen = len(layers) - (math.ceil(len(layers) * keep) if keep < 1 else int(keep))
    if frozen <= 0:
        return
    parameters = list(model.parameters())
    place = {id(parameter): number for number, parameter in enumerate(parameters)}
    last = max(place[id(parameter)] for layer in layers[:frozen] for parameter in layer.parameters())
    for parameter in parameters[: last + 1]:
        parameter.requires_grad_(False)
    if _is_trained(layers[frozen - 1], lambda: run(model)):
        # Relative positions (MPNet, DeBERTa) are listed after the layers that use them.
        upper = {id(parameter) for layer in layers[frozen:] for parameter in layer.parameters()}
        for parameter in parameters:
            if id(parameter) not in upper:
                parameter.requires_grad_(False)


def recompute_layers(model: nn.Module) -> None:
    """Recompute the states inside the layers in the backward pass instead of storing them.

    Gradient checkpointing (Chen et al., 2016, arXiv 1604.06174): one more forward pass, less memory. Nothing changes in
    a model without layers that could be told apart.
    """
    for layer in layers_of(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


@contextmanager
def compiled_layers(models: Iterable[nn.Module]) -> Iterator[None]:
    """Run the layers as ``torch.compile`` compiles them, until the block ends.

    Each layer is compiled by itself: layers of one kind are compiled once.
    """
    layers = [layer for model in models for layer in layers_of(model)]
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        layer.forward = torch.compile(layer.forward, dynamic=True)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            del layer.forward
            if forward:
                layer.forward = forward


def _is_trained(layer: nn.Module, run: Callable[[], Any]) -> bool:
    """Return whether the states of a layer depend on a trained parameter."""
    seen: list[bool] = []
    hook = layer.register_forward_hook(lambda *call: seen.append(last_states(call[2]).requires_grad))
    try:
        with torch.enable_grad():
            run()
    finally:
        hook.remove()
    return any(seen)
