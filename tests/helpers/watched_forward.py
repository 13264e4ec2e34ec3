"""Look on, or step in, while modules of a class run, without a change to the class."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook


@contextmanager
def watched(kind: type[torch.nn.Module], watch: Callable[[Any, tuple], None]) -> Iterator[None]:
    """Call ``watch(module, inputs)`` before each run of a module of ``kind``; what it raises comes from the module."""

    def hook(module: torch.nn.Module, inputs: tuple) -> None:
        if isinstance(module, kind):
            watch(module, inputs)

    handle = register_module_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def while_scoring(watch: Callable[[int], None]) -> AbstractContextManager[None]:
    """Call ``watch(0)``, ``watch(1)`` and so on before a bundle that is loaded meanwhile scores a batch."""
    from jointune.model import JointModel

    numbers = count(-1)  # loading it runs a trial batch
    return watched(JointModel, lambda *_: watch(number) if (number := next(numbers)) >= 0 else None)


def stopped_after(batches: int, error: BaseException) -> AbstractContextManager[None]:
    """Raise ``error`` when a bundle that is loaded meanwhile has scored so many batches."""

    def stop(number: int) -> None:
        if number == batches:
            raise error

    return while_scoring(stop)
