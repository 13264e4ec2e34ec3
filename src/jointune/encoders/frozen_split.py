"""An encoder cut in two: the frozen lower part, which can be run once and cached, and the trained upper part."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jointune.encoders.layers import Substitute, layers_of, names_in, replace_modules

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrozenSplit:
    """The place between the frozen and the trained layers of a model.

    Attributes:
        first: the names in the model of the lowest trained layer.
        lower: the names of the modules that run before it, outermost only, in order.
        in_tuple: whether layers return their states as the first of a tuple.
    """

    first: tuple[str, ...]
    lower: tuple[str, ...]
    in_tuple: bool

    def activations(self, model: nn.Module, run: Callable[[nn.Module], Any]) -> Tensor:
        """Return the states that reach the split while ``run`` passes an input through a model; without gradients."""
        stopping = replace_modules(model, {name: _Stop(model.get_submodule(name)) for name in self.first})
        try:
            with torch.no_grad():
                run(stopping)
        except _SplitReached as reached:
            return reached.activations
        raise AssertionError("the first trained layer was not run")

    def upper(self, model: nn.Module, activations: Tensor) -> nn.Module:
        """Return a copy of the model that begins with ``activations``, whatever its input; weights are shared."""
        return replace_modules(
            model,
            {
                name: _PassThrough(model.get_submodule(name), None if number else activations, self.in_tuple)
                for number, name in enumerate(self.lower)
            },
        )


def find_split(
    model: nn.Module,
    run: Callable[[nn.Module], Tensor],
    as_cached: Callable[[Tensor], Tensor] = lambda activations: activations,
) -> FrozenSplit | None:
    """Find where the trained layers of a model begin.

    A model cannot be cut if its upper layers need more of the lower ones than the cached activations, such as the
    relative positions of T5 or the padding that Longformer adds. Both parts are run, one after the other, to see.

    Args:
        model: the model, some layers of which ``freeze_lower`` has frozen.
        run: passes an example through it.
        as_cached: turns the activations of the example into what a cache would return.

    Returns:
        The split; None if nothing is frozen, or if the model cannot be cut.
    """
    layers = layers_of(model)
    number = first_trained(layers)
    if number <= 0:
        return None
    first = layers[number]
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            whole = run(model)
            for in_tuple in (False, True):
                split = FrozenSplit(tuple(names_in(model, first)), tuple(_names_before(model, first)), in_tuple)
                try:
                    activations = as_cached(split.activations(model, run))
                    if torch.equal(run(split.upper(model, activations)), whole):
                        return split
                except Exception as reason:  # whatever a model may raise that needs more than the activations
                    _logger.debug("%s cannot be cut (in_tuple=%s): %s", type(model).__name__, in_tuple, reason)
        return None
    finally:
        model.train(mode)


def first_trained(layers: Sequence[nn.Module]) -> int:
    """Return the number of the lowest trained layer; of the last one if none is trained."""
    trained = (number for number, layer in enumerate(layers) if any(p.requires_grad for p in layer.parameters()))
    return next(trained, len(layers) - 1)


class _PassThrough(Substitute):
    """Takes the place of a frozen module: returns the cached activations or, if it has none, its first argument."""

    def __init__(self, module: nn.Module, activations: Tensor | None, in_tuple: bool) -> None:
        super().__init__(module)
        self.activations, self.in_tuple = activations, in_tuple

    def forward(self, first: Any = None, *_: Any, **named: Any) -> Any:
        if self.activations is not None:
            return self.activations
        states = first if first is not None else next(iter(named.values()))
        return (states, None) if self.in_tuple else states


class _SplitReached(Exception):  # noqa: N818 - it is no error
    def __init__(self, activations: Tensor) -> None:
        self.activations = activations


class _Stop(Substitute):
    def forward(self, *inputs: Any, **named: Any) -> None:
        raise _SplitReached(inputs[0] if inputs else named["hidden_states"])


def _names_before(model: nn.Module, layer: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yield the names of the modules that run before ``layer``, outermost only, in order."""
    for name, child in model._modules.items():
        if child is layer:
            return
        if child is not None and any(module is layer for module in child.modules()):
            yield from _names_before(child, layer, f"{prefix}{name}.")
            return
        if child is not None:
            yield prefix + name
