"""The only module that talks to peft: low-rank updates in place of whole weights."""

from collections.abc import Callable

from torch import nn

from jointune.encoders.layers import layers_of
from jointune.utils.extras import require

RATE = 10
"""How much higher the rate of the updates is than that of whole weights. With 5 and with 20 times, text alone of
MVSA-Single was at its best within a fifth of a point of whole weights (one fold); this is between them."""


def add_lora(model: nn.Module, rank: int) -> Callable[[], None] | None:
    """Train an update of low rank beside each linear layer that is trained, and nothing else of ``model``.

    LoRA after Hu et al. (2021), arXiv 2106.09685, with twice the rank as alpha and a dropout of 0.1. Gradient, average
    and both moments of the optimizer are kept for what is trained only: a large encoder takes a fraction of the memory.

    Args:
        model: of an encoder; changed in place.
        rank: of the updates.

    Returns:
        What adds the updates to the weights and leaves the model as it was built; None, and nothing changed, where none
        of its layers that are trained is linear, as in a convolutional network.

    Raises:
        MissingExtraError: peft is not installed.
    """
    peft = require("peft", "lora", "LoRA")
    within = {id(module) for layer in layers_of(model) or [model] for module in layer.modules()}
    # Not those of torch's own attention, which takes their weights without calling them.
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
    """Whether the parameter of this name is one of ``add_lora``'s."""
    return ".lora_" in name
