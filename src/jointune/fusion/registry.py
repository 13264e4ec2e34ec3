"""The fusions by name, and the contract that one's own fusion keeps."""

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from jointune.errors import SettingsError, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from jointune.encoders.encoder_output import EncoderOutput
    from jointune.fusion.fused import Fused


class Fusion(Protocol):
    """What a fusion is: a module with the width of its joint vector as ``dim``."""

    dim: int

    def __call__(self, text: "EncoderOutput", image: "EncoderOutput", present: "Tensor") -> "Tensor | Fused":
        """Two states and ``present``, bool [B, 2] (text, image), to joint vectors [B, ``dim``].

        With a loss of its own, such as one that keeps modalities apart, it gives ``Fused``.
        """
        ...


FusionFactory = Callable[[int, int], Any]
"""Makes a fusion, a ``torch.nn.Module``, from the widths of the text and the image states; a fusion's class is one."""

NAMED = {
    "gated": "gated.GatedFusion",
    "concat": "concat.ConcatFusion",
    "paper": "paper.PaperFusion",
    "cross-attention": "cross_attention.CrossAttentionFusion",
    "mual": "mual.MualFusion",
    "splitting": "splitting.SplittingFusion",
    "dual": "dual.DualFusion",
    "single-stream": "single_stream.SingleStreamFusion",
}
"""Module and class of each, in this folder; imported when used, so that the names can be had without torch."""


def check_fusion(fusion: str, argument: str = "fusion") -> None:
    """See that there is a fusion of that name, and that what follows a colon may be a width; loads no torch.

    Args:
        fusion: its name, such as ``gated`` or ``gated:512``.
        argument: that says so, for messages.

    Raises:
        SettingsError: there is none, or it may not.
    """
    name, colon, width = fusion.partition(":")
    if name not in NAMED:
        raise SettingsError(f"{setting(argument, fusion)}: choose one of {', '.join(NAMED)}", setting=argument)
    if colon and not (width.isdecimal() and int(width)):
        raise SettingsError(
            f"{setting(argument, fusion)}: after the colon comes a width, such as {name}:256", setting=argument
        )


def make_fusion(fusion: str | FusionFactory, text_dim: int, image_dim: int) -> "torch.nn.Module":
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
    check_fusion(fusion)
    name, colon, width = fusion.partition(":")
    module, _, kind = NAMED[name].partition(".")
    factory: Any = getattr(import_module(f"jointune.fusion.{module}"), kind)
    if not colon:
        return factory
    parameters = inspect.signature(factory).parameters
    if "dim" not in parameters:
        raise SettingsError(f"{setting('fusion', fusion)}: the width of {name} is not for choice", setting="fusion")
    heads = parameters["heads"].default if "heads" in parameters else 1
    if int(width) % heads:
        raise SettingsError(
            f"{setting('fusion', fusion)}: after the colon comes a width, a multiple of {heads}, such as {name}:256",
            setting="fusion",
        )
    return functools.partial(factory, dim=int(width))
