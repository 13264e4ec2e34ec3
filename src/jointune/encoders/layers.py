"""The layers of an encoder: which of them are trained, and what is kept of them for that."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from jointune.encoders.encoder_output import last_states


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers of a transformer, or the blocks or stages of a convolutional network, lowest first.

    They are the parts of the largest list or sequence of modules in ``model``: that is how the architectures of
    transformers and timm keep them. None where it has no such list: a single layer, or layers that share their weights
    as ALBERT's do.
    """
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList | nn.Sequential) and len(part) > 1]
    return list(max(lists, key=_size)) if lists else []


def freeze_lower(model: nn.Module, keep: float, run: Callable[[], Any]) -> None:
    """Stop training the lower layers, and whatever comes before them.

    The features of the lowest layers are general (Yosinski et al., 2014, arXiv 1411.1792), and in a convolutional
    network they cost the most to train: the lower a layer, the larger its maps.

    Args:
        model: of an encoder; changed in place.
        keep: how many of the uppermost layers are trained; less than 1 is the share of them, rounded up. Where that
            is all of them, or the model has no layers that could be told apart, so is what comes before them.
        run: passes any input through the model.
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
    if _is_trained(layers[frozen - 1], run):
        # Relative positions (MPNet, DeBERTa) are listed after the layers that use them.
        upper = {id(parameter) for layer in layers[frozen:] for parameter in layer.parameters()}
        for parameter in parameters:
            if id(parameter) not in upper:
                parameter.requires_grad_(False)


def recompute_layers(model: nn.Module) -> None:
    """Keep no states inside the layers for the backward pass, but compute them again there.

    Gradient checkpointing after Chen et al. (2016), arXiv 1604.06174: memory for a forward pass more. Without layers
    that could be told apart, nothing changes.
    """
    for layer in layers_of(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


@contextmanager
def compiled_layers(models: Iterable[nn.Module]) -> Iterator[None]:
    """While active, ``torch.compile`` makes what computes the layers.

    Each layer by itself and not the model as a whole: layers of one kind are compiled once.
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
    """Whether what ``layer`` says depends on a parameter that is trained."""
    seen: list[bool] = []

    def look(*call: Any) -> None:
        seen.append(last_states(call[2]).requires_grad)

    hook = layer.register_forward_hook(look)
    try:
        with torch.enable_grad():
            run()
    finally:
        hook.remove()
    return any(seen)


def _size(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
