"""What the layers below the last one say: their states, pooled."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import last_states, masked_mean
from jointune.encoders.frozen_split import first_trained
from jointune.encoders.layers import layers_of


def spread_depths(model: nn.Module, count: int) -> list[int]:
    """The numbers of ``count`` layers, evenly spread over those that are trained, without the last.

    Only what lies above the boundary is computed in each step, so the frozen layers are not among them.

    Args:
        model: of an encoder.
        count: how many are wanted; there are fewer where it has fewer, and none where its layers cannot be told apart.
    """
    layers = layers_of(model)
    first, last = max(first_trained(layers), 0), len(layers) - 1
    wanted = {first + round((last + 1 - first) * (k + 1) / (count + 1)) - 1 for k in range(count)}
    return sorted(number for number in wanted if first <= number < last)


class Depths:
    """Pools the states that some layers of a model give while it runs.

    Args:
        model: of an encoder.
        numbers: of the layers, as ``spread_depths`` gave them.
        run: passes any input through the model.

    Attributes:
        numbers: the same.
        widths: of their states.
    """

    def __init__(self, model: nn.Module, numbers: Sequence[int], run: Callable[[], Any]) -> None:
        layers = layers_of(model)
        self.numbers = list(numbers)
        self._layers = [layers[number] for number in numbers]
        pooled: dict[nn.Module, Tensor] = {}
        mode = model.training
        model.eval()
        with torch.no_grad(), self._looking(pooled.__setitem__, None):
            posts = len(last_states(run()))
        model.train(mode)
        # XLNet's layers give a row for each place of a text, not for each text.
        self._layers = [layer for layer in self._layers if layer in pooled and len(pooled[layer]) == posts]
        self.widths = tuple(pooled[layer].shape[-1] for layer in self._layers)

    @contextmanager
    def recorded(self, mask: Tensor | None = None) -> Iterator[list[Tensor]]:
        """While active, a run of the model adds to the list: one pooled vector a layer, float [B, D].

        Args:
            mask: which tokens are real, bool [B, L]; all are by default.
        """
        pooled: list[Tensor] = []
        with self._looking(lambda _, states: pooled.append(states), mask):
            yield pooled

    @contextmanager
    def _looking(self, found: Callable[[nn.Module, Tensor], None], mask: Tensor | None) -> Iterator[None]:
        def look(layer: nn.Module, _inputs: Any, output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            # A layer that gives anything else is left out, here as in the first run.
            if isinstance(states, Tensor) and states.dim() in (3, 4):
                found(layer, _pool(states, mask))

        hooks = [layer.register_forward_hook(look) for layer in self._layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _pool(states: Tensor, mask: Tensor | None) -> Tensor:
    if states.dim() == 4:
        # A map of which two sides are alike; what is left are the channels.
        _, second, third, fourth = states.shape
        return states.mean((1, 2) if second == third != fourth else (2, 3))
    if mask is not None and mask.shape[1] <= states.shape[1]:
        # Longformer pads texts to its window: more than the mask knows of is padding.
        return masked_mean(states[:, : mask.shape[1]], mask)
    return states.mean(1)
