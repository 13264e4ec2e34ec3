"""The contract of a text or an image encoder: inputs to ``EncoderOutput``, in one run or in two."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jointune.encoders.encoder_output import EncoderOutput
from jointune.encoders.frozen_split import FrozenSplit, find_split
from jointune.encoders.hidden_states import HiddenStates
from jointune.encoders.layers import freeze_lower
from jointune.errors import foreign_errors, setting


class Encoder(nn.Module):
    """A pre-trained network of one modality.

    No call changes the network, so several threads may run one encoder at once.

    Args:
        model: the network.
        dim: the width of its last layer.

    Attributes:
        split: where the trained layers begin; None if all are trained, or if the network cannot be cut there.
        hidden_states: the lower layers that ``EncoderOutput.hidden`` holds; None if there are none.
    """

    pretrained = True
    """Whether its weights come trained, so that they are trained at the rate of encoders."""

    several = False
    """Whether a post may have several of its inputs."""

    def __init__(self, model: Any, dim: int) -> None:
        super().__init__()
        self.model = model
        self.dim = dim
        self.split: FrozenSplit | None = None
        self.hidden_states: HiddenStates | None = None

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the pooled vector and of each of the hidden states."""
        return (self.dim, *(self.hidden_states.widths if self.hidden_states else ()))

    @property
    def width(self) -> int:
        """The width of ``EncoderOutput.summary``."""
        return sum(self.widths)

    @property
    def hidden_layers(self) -> list[int]:
        """The numbers of the layers that ``use_hidden_layers`` was called with."""
        return list(self.hidden_states.numbers) if self.hidden_states else []

    def freeze_lower(self, keep: float) -> None:
        """Train the upper layers only (see ``layers.freeze_lower``), and set ``split`` to where they begin."""
        with foreign_errors(
            f"the lower layers of {type(self.model).__name__} cannot be frozen",
            f"train all: {setting('train_layers', None)}",
        ):
            freeze_lower(self.model, keep, self._run_example)
        self.split = find_split(self.model, lambda model: self._run_example(model).pooled, self._as_cached)

    def use_hidden_layers(self, layers: Sequence[int]) -> None:
        """Add the pooled states of these layers to each output from now on; see ``hidden_states.spread_layers``."""
        with foreign_errors(
            f"the hidden states of {type(self.model).__name__} cannot be used",
            f"do without: {setting('probe_depths', 1)}",
        ):
            self.hidden_states = HiddenStates(self.model, layers, self._run_example) if layers else None

    def forward(self, inputs: Any) -> EncoderOutput:
        """Encode a batch."""
        return self._encode(self.model, inputs)

    def activations(self, inputs: Any) -> Tensor:
        """Run the frozen layers of a batch, without gradients: the activations at the split, float [B, ...]."""
        assert self.split is not None, "some layers are frozen"
        return self.split.activations(self.model, lambda model: self._encode(model, inputs))

    def resume(self, activations: Tensor, inputs: Any) -> EncoderOutput:
        """Run the trained layers: from what ``activations`` returned for ``inputs`` to what ``forward`` returns."""
        assert self.split is not None, "some layers are frozen"
        return self._encode(self.split.upper(self.model, activations), inputs)

    def _encode(self, model: Any, inputs: Any) -> EncoderOutput:
        """Encode a batch with ``self.model``, or with a copy of it that runs some of its layers."""
        raise NotImplementedError

    def _call(self, model: Any, mask: Tensor | None, inputs: dict[str, Tensor]) -> tuple[Any, Tensor | None]:
        """Return the output of the model and its pooled hidden states."""
        if self.hidden_states is None:
            return model(**inputs), None
        model, pooled = self.hidden_states.recording(model, mask)
        output = model(**inputs)
        return output, torch.cat(self.hidden_states.ordered(pooled), dim=-1) if pooled else None

    def _run_example(self, model: Any) -> EncoderOutput:
        raise NotImplementedError

    def _as_cached(self, activations: Tensor) -> Tensor:
        """Return the activations of the example as a cache would return them."""
        return activations
