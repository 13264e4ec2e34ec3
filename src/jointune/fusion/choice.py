"""The fusions by name, and the contract that one's own fusion keeps."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from jointune.encoders.states import States
from jointune.errors import SettingsError
from jointune.fusion.concat import ConcatFusion
from jointune.fusion.cross_attention import CrossAttentionFusion
from jointune.fusion.fused import Fused
from jointune.fusion.gated import GatedFusion
from jointune.fusion.paper import PaperFusion


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
}


def make_fusion(fusion: str | FusionFactory, text_dim: int, image_dim: int) -> nn.Module:
    """Make a fusion by name, or by one's own factory.

    Raises:
        SettingsError: there is no fusion of that name, or what the factory made lacks ``dim``.
    """
    if isinstance(fusion, str):
        if fusion not in NAMED:
            raise SettingsError(f"fusion={fusion!r}: choose one of {', '.join(NAMED)}, or give a fusion's class")
        fusion = NAMED[fusion]
    made = fusion(text_dim, image_dim)
    if not isinstance(getattr(made, "dim", None), int):
        raise SettingsError(f"the fusion {type(made).__name__} needs an attribute `dim`, the width of its joint vector")
    return made
