"""What text and image encoders have in common: which of their layers are trained, and which are looked at."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.encoders.frozen_split import Boundary, find_boundary
from jointune.encoders.hidden_states import Depths
from jointune.encoders.layers import freeze_lower
from jointune.errors import foreign_errors


class Encoder(nn.Module):
    """A model of one modality.

    Args:
        model: what gives the states.
        dim: the width of its last layer's states.

    Attributes:
        boundary: where the trained layers begin; None where all are trained, or no two parts can be made.
        depths: the layers below the last that ``EncoderOutput.lower`` is made of; None where there are none.
    """

    def __init__(self, model: Any, dim: int) -> None:
        super().__init__()
        self.model = model
        self.dim = dim
        self.boundary: Boundary | None = None
        self.depths: Depths | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the pooled vector, and of those of the layers below."""
        return (self.dim, *(self.depths.widths if self.depths else ()))

    @property
    def width(self) -> int:
        """Of ``EncoderOutput.summary``."""
        return sum(self.widths)

    def freeze_lower(self, keep: float) -> None:
        """Train the upper layers only; see ``layers.freeze_lower``. ``boundary`` is where they begin."""
        with foreign_errors(
            f"the lower layers of {type(self.model).__name__} cannot be kept as they are",
            "; train all (train_layers=None)",
        ):
            freeze_lower(self.model, keep, self._run_any)
        self.boundary = find_boundary(self.model, lambda: self._run_any().pooled, self._keep_any)

    def look_below(self, layers: Sequence[int]) -> None:
        """Give ``EncoderOutput.lower`` of these layers from now on; see ``depths.spread_depths``."""
        with foreign_errors(
            f"the lower layers of {type(self.model).__name__} cannot be looked at", "; do without (probe_depths=1)"
        ):
            self.depths = Depths(self.model, layers, self._run_any) if layers else None

    def _recorded(self, mask: Tensor | None = None) -> AbstractContextManager[list[Tensor]]:
        """Collects what the layers below say while the model runs; see ``Depths.recorded``."""
        return self.depths.recorded(mask) if self.depths else nullcontext([])

    def _run_any(self) -> EncoderOutput:
        """Pass any input through the model."""
        raise NotImplementedError

    def _keep_any(self, states: Tensor) -> Tensor:
        """What is kept, between the epochs, of that input's states at the boundary."""
        return states
