"""The fusions by name, and the contract that one's own fusion keeps."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from jointune.encoders.states import States
from jointune.errors import SettingsError
from jointune.fusion.concat import ConcatFusion
from jointune.fusion.cross_attention import CrossAttentionFusion
from jointune.fusion.dual import DualFusion
from jointune.fusion.fused import Fused
from jointune.fusion.gated import GatedFusion
from jointune.fusion.mual import MualFusion
from jointune.fusion.paper import PaperFusion
from jointune.fusion.single_stream import SingleStreamFusion
from jointune.fusion.splitting import SplittingFusion


class Fusion(Protocol):
    """What a fusion is: a module with the width of its joint vector as ``dim``."""

    dim: int

    def __call__(self, text: States, image: States, present: Tensor) -> Tensor | Fused:
        """Two states and ``present``, bool [B, 2] (text, image), to joint vectors [B, ``dim``].

        With a loss of its own, such as one that keeps modalities apart, it gives ``Fused``.
        """
        ...


FusionFactory = Callable[[int, int], nn.Module]
"""Makes a fusion from the widths of the text and the image states; a fusion's class is one."""

NAMED: dict[str, FusionFactory] = {
    "concat": ConcatFusion,
    "paper": PaperFusion,
    "gated": GatedFusion,
    "cross-attention": CrossAttentionFusion,
    "mual": MualFusion,
    "splitting": SplittingFusion,
    "dual": DualFusion,
    "single-stream": SingleStreamFusion,
}


def make_fusion(fusion: str | FusionFactory, text_dim: int, image_dim: int) -> nn.Module:
    """Make a fusion by name, or by one's own factory.

    Args:
        fusion: a name, such as ``gated``; with a width for its own ``dim``, such as ``gated:512``; or a factory.
        text_dim: width of the text states.
        image_dim: width of the image states.

    Raises:
        SettingsError: there is no fusion of that name or width, or what the factory made lacks ``dim``.
    """
    if isinstance(fusion, str):
        fusion = _named(fusion)
    made = fusion(text_dim, image_dim)
    if not isinstance(getattr(made, "dim", None), int):
        raise SettingsError(f"the fusion {type(made).__name__} needs an attribute `dim`, the width of its joint vector")
    return made


def _named(fusion: str) -> FusionFactory:
    name, colon, width = fusion.partition(":")
    if name not in NAMED:
        raise SettingsError(f"fusion={fusion!r}: choose one of {', '.join(NAMED)}, or give a fusion's class")
    factory: Any = NAMED[name]
    if not colon:
        return factory
    parameters = inspect.signature(factory).parameters
    if "dim" not in parameters:
        raise SettingsError(f"fusion={fusion!r}: the width of {name} is not for choice")
    heads = parameters["heads"].default if "heads" in parameters else 1
    if not width.isdecimal() or not int(width) or int(width) % heads:
        multiple = f", a multiple of {heads}" if heads > 1 else ""
        raise SettingsError(f"fusion={fusion!r}: after the colon comes a width{multiple}, such as {name}:256")
    return functools.partial(factory, dim=int(width))
