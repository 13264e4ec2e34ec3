"""LoRA with peft: train low-rank updates in place of whole weights."""

from collections.abc import Callable

from torch import nn

from jointune.encoders.layers import layers_of
from jointune.utils.extras import require

RATE = 10
"""Learning rate of the updates, relative to that of whole weights. At 5 and at 20, text alone of MVSA-Single came
within a fifth of a point of whole weights (one fold)."""


def add_lora(model: nn.Module, rank: int) -> Callable[[], None] | None:
    """Train an update of low rank beside each trained linear layer, and nothing else of ``model``.

    LoRA (Hu et al., 2021, arXiv 2106.09685) with alpha twice the rank and a dropout of 0.1. Gradients, averages and the
    moments of the optimizer are held for the updates only, so a large encoder takes a fraction of the memory.

    Args:
        model: the model of an encoder; changed in place.
        rank: the rank of the updates.

    Returns:
        A function that adds the updates to the weights and restores the model's structure; None, with nothing changed,
        if no trained layer is linear, as in a convolutional network.

    Raises:
        MissingExtraError: peft is not installed.
    """
    peft = require("peft", "lora", "LoRA")
    within = {id(module) for layer in layers_of(model) or [model] for module in layer.modules()}
    # Not the subclass in torch's own attention, whose weights are used without calling it.
    names = [
        name
        for name, module in model.named_modules()
        if type(module) is nn.Linear and module.weight.requires_grad and id(module) in within
    ]
    if not names:
        return None
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.1, target_modules=names)
    updated = peft.LoraModel(model, config, "default")

    def merge() -> None:
        updated.merge_and_unload()

    return merge


def is_update(name: str) -> bool:
    """Return whether the parameter of this name belongs to a LoRA update."""
    return ".lora_" in name
