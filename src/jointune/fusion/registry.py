"""The fusions by name, and the contract that one's own fusion keeps."""

import functools
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from jointune.errors import SettingsError, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from jointune.encoders.encoder_output import EncoderOutput
    from jointune.fusion.fused import Fused


class Fusion(Protocol):
    """The contract of a fusion: a module with the width of its joint vector as ``dim``."""

    dim: int

    def __call__(self, outputs: "Mapping[str, EncoderOutput]", present: "Tensor") -> "Tensor | Fused":
        """Return joint vectors [B, ``dim``], or ``Fused`` where the fusion has a loss of its own.

        Args:
            outputs: by modality, in the order of the columns of ``present``; a learned vector replaces a missing one.
            present: which modalities each post has, bool [B, M].
        """
        ...


FusionFactory = Callable[[Mapping[str, int]], Any]
"""Makes a fusion, a ``torch.nn.Module``, from the width of each modality's encoder output; a fusion's class is one."""

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


def make_fusion(fusion: str | FusionFactory, dims: Mapping[str, int]) -> "torch.nn.Module":
    """Make a fusion by name, or by one's own factory.

    Args:
        fusion: a name, such as ``gated``; with a width for its own ``dim``, such as ``gated:512``; or a factory.
        dims: by modality, the width of its encoder's output.

    Raises:
        SettingsError: there is no fusion of that name or width, the factory does not take ``dims``, or what it made
            lacks ``dim`` or does not take outputs by modality.
    """
    if isinstance(fusion, str):
        fusion = _named(fusion)
    _check_call(fusion, getattr(fusion, "__name__", "of your own"), "made", "dims")
    made: Any = fusion(dims)
    _check_call(made.forward if hasattr(made, "forward") else made, type(made).__name__, "called", "outputs", "present")
    if not isinstance(getattr(made, "dim", None), int):
        raise SettingsError(f"the fusion {type(made).__name__} needs an attribute `dim`, the width of its joint vector")
    return made


def _check_call(function: Callable[..., Any], name: str, done: str, *arguments: str) -> None:
    """Check that a function of one's own fusion takes these arguments, not text and image one by one."""
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments)
        fits = list(signature.parameters)[:2] != ["text", "image"]
    except TypeError:
        fits = False
    if not fits:
        raise SettingsError(
            f"the fusion {name} cannot be {done} with ({', '.join(arguments)}): it takes {signature}",
            "give it __init__(dims), with the widths by modality, and forward(outputs, present), with the encoders' "
            "outputs by modality",
            setting="fusion",
        )


def only_text_and_image(fusion: str, dims: Mapping[str, int]) -> None:
    """Check that a fusion that knows text and image only is given just these.

    Raises:
        SettingsError: there are other modalities.
    """
    if list(dims) != ["text", "image"]:
        raise SettingsError(
            f"{setting('fusion', fusion)} is for text and image, not for {', '.join(dims)}",
            "choose another fusion",
            setting="fusion",
        )


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
