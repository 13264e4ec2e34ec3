"""The hidden states of an encoder's lower layers, pooled."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import last_states, masked_mean
from jointune.encoders.frozen_split import first_trained
from jointune.encoders.layers import Substitute, layers_of, names_in, replace_modules


def spread_layers(model: nn.Module, count: int) -> list[int]:
    """Return the numbers of ``count`` layers, evenly spread over the trained ones, without the last.

    There are fewer if the model has fewer, and none if its layers cannot be told apart. The frozen layers are not
    among them, since they are not run in each step.
    """
    layers = layers_of(model)
    first, last = max(first_trained(layers), 0), len(layers) - 1
    wanted = {first + round((last + 1 - first) * (k + 1) / (count + 1)) - 1 for k in range(count)}
    return sorted(number for number in wanted if first <= number < last)


class HiddenStates:
    """Pools the states that some layers of a model return.

    Args:
        model: the model of an encoder.
        numbers: the layers, as ``spread_layers`` returns them.
        run: passes an example through a model.

    Attributes:
        numbers: the same.
        widths: of the states of those layers that return a vector for each post.
    """

    def __init__(self, model: nn.Module, numbers: Sequence[int], run: Callable[[nn.Module], Any]) -> None:
        layers = layers_of(model)
        self.numbers = list(numbers)
        self._names = {number: names_in(model, layers[number]) for number in numbers}
        mode = model.training
        model.eval()
        with torch.no_grad():
            posts = len(last_states(run(model)))
            recording, pooled = self.recording(model)
            run(recording)
        model.train(mode)
        # XLNet's layers return a row for each place of a text, not for each text.
        self._names = {number: names for number, names in self._names.items() if len(pooled.get(number, ())) == posts}
        self.widths = tuple(vectors.shape[-1] for vectors in self.ordered(pooled))

    def recording(self, model: nn.Module, mask: Tensor | None = None) -> tuple[nn.Module, dict[int, Tensor]]:
        """Return a copy of the model, and what fills when it runs: the pooled states by layer, float [B, D].

        Args:
            model: that of the constructor, or a copy by ``replace_modules``; weights are shared.
            mask: which tokens are real, bool [B, L]; all by default.
        """
        pooled: dict[int, Tensor] = {}
        recorders = {
            name: _Recorder(model.get_submodule(name), partial(_record, pooled, number, mask))
            for number, names in self._names.items()
            for name in names
        }
        return replace_modules(model, recorders), pooled

    def ordered(self, pooled: Mapping[int, Tensor]) -> list[Tensor]:
        """Return the vectors of ``pooled`` from the lowest layer to the highest, as ``widths`` lists them."""
        return [pooled[number] for number in self._names]


class _Recorder(Substitute):
    """Runs a layer, and shows its output to ``record``."""

    def __init__(self, module: nn.Module, record: Callable[[Any], None]) -> None:
        super().__init__(module)
        self.record = record

    def forward(self, *inputs: Any, **named: Any) -> Any:
        output = self.module(*inputs, **named)
        self.record(output)
        return output


def _record(pooled: dict[int, Tensor], number: int, mask: Tensor | None, output: Any) -> None:
    states = output[0] if isinstance(output, tuple) else output
    # A layer that returns anything else is left out, here as in the first run.
    if isinstance(states, Tensor) and states.dim() in (3, 4):
        pooled[number] = _pool(states, mask)


def _pool(states: Tensor, mask: Tensor | None) -> Tensor:
    if states.dim() == 4:
        # A feature map: two sides are alike, the third is the channels.
        _, second, third, fourth = states.shape
        return states.mean((1, 2) if second == third != fourth else (2, 3))
    if mask is not None and mask.shape[1] <= states.shape[1]:
        # Longformer pads texts to its window: what the mask does not reach is padding.
        return masked_mean(states[:, : mask.shape[1]], mask)
    return states.mean(1)
