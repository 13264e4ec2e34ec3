"""An encoder in two parts: the lower one, which is not trained and can be run once, and the upper one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jointune.encoders.layers import layers_of


def find_boundary(
    model: nn.Module, run: Callable[[], Tensor], keep: Callable[[Tensor], Tensor] = lambda states: states
) -> "Boundary | None":
    """Where the trained layers of a model begin.

    None where nothing is frozen, and where what lies above needs more of what lies below than the states that are kept,
    such as the relative positions of T5, or the padding that Longformer adds: that is found out by running both.

    Args:
        model: of an encoder, of which ``freeze_lower`` has frozen some layers.
        run: passes any input through it.
        keep: what is kept of the states at the boundary, in their place; all of them by default.
    """
    layers = layers_of(model)
    frozen = first_trained(layers)
    if frozen <= 0:
        return None
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            whole = run()
            for in_tuple in (False, True):
                boundary = Boundary(model, layers[frozen], in_tuple)
                if boundary.gives(whole, run, keep):
                    return boundary
        return None
    finally:
        model.train(mode)


def first_trained(layers: Sequence[nn.Module]) -> int:
    """The number of the lowest layer that is trained; where none is, of the last one."""
    return next((number for number, layer in enumerate(layers) if _is_trained(layer)), len(layers) - 1)


class Boundary:
    """Between the layers of a model that are trained and what is below them.

    Args:
        model: the model.
        first: the lowest trained layer.
        in_tuple: whether layers give their states as the first of a tuple.
    """

    def __init__(self, model: nn.Module, first: nn.Module, in_tuple: bool) -> None:
        self._first, self._in_tuple = first, in_tuple
        self._below = _before(model, first)

    def gives(self, whole: Tensor, run: Callable[[], Tensor], keep: Callable[[Tensor], Tensor]) -> bool:
        """Whether both parts, one after the other, give what ``run`` gave."""
        try:
            with self.given(keep(self.below(run))):
                return torch.equal(run(), whole)
        except Exception:
            return False  # whatever a model may raise that needs more than the states

    def below(self, run: Callable[[], Any]) -> Tensor:
        """The states that reach the boundary while ``run`` passes an input through the model; without gradients."""
        hook = self._first.register_forward_pre_hook(_stop, with_kwargs=True)
        try:
            with torch.no_grad():
                run()
        except _Reached as reached:
            return reached.states
        finally:
            hook.remove()
        raise AssertionError("the first trained layer was not run")

    @contextmanager
    def given(self, states: Tensor) -> Iterator[None]:
        """While active, the model computes nothing below the boundary: ``states`` are what it finds there."""
        replaced = []
        try:
            for number, (parent, name) in enumerate(self._below):
                replaced.append((parent, name, parent._modules[name]))
                parent._modules[name] = _Given(parent._modules[name], states if number == 0 else None, self._in_tuple)
            yield
        finally:
            for parent, name, module in replaced:
                parent._modules[name] = module


class _Given(nn.Module):
    """Stands for a module below the boundary: hands on its first argument, or the states that are known."""

    def __init__(self, replaced: nn.Module | None, states: Tensor | None, in_tuple: bool) -> None:
        super().__init__()
        self.states, self.in_tuple = states, in_tuple
        self._replaced = [replaced]  # in a list, so as to be no part of the model

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._replaced[0], name)  # such as the kind of attention that a layer asks for

    def forward(self, first: Any = None, *_: Any, **named: Any) -> Any:
        states = self.states
        if states is None:
            states = first if first is not None else next(iter(named.values()))
            return (states, None) if self.in_tuple else states
        return states


class _Reached(Exception):  # noqa: N818 - it is no error
    def __init__(self, states: Tensor) -> None:
        self.states = states


def _stop(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    raise _Reached(inputs[0] if inputs else named["hidden_states"])


def _before(model: nn.Module, layer: nn.Module) -> list[tuple[nn.Module, str]]:
    """The modules that are run before ``layer``, outermost only, as their parents and names there, in order."""
    for name, child in model._modules.items():
        if child is layer:
            return _earlier(model, name)
        if child is not None and any(module is layer for module in child.modules()):
            return _earlier(model, name) + _before(child, layer)
    raise AssertionError("the layer is in the model")


def _earlier(parent: nn.Module, name: str) -> list[tuple[nn.Module, str]]:
    names = list(parent._modules)
    return [(parent, other) for other in names[: names.index(name)] if parent._modules[other] is not None]


def _is_trained(layer: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in layer.parameters())
