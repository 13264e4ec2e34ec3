"""The weights that are validated and kept: averaged along training, and drawn back to where it started."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averages a model's weights over the last steps, as in Polyak averaging with exponential weights.

    Single steps overshoot on few posts; their average is steadier and better than any of them (Izmailov et al., 2018,
    arXiv 1803.05407; Morales-Brotons et al., 2024, arXiv 2411.18704). Where training starts from good weights, those
    between its start and its end are better than either (WiSE-FT, Wortsman et al., 2022, arXiv 2109.01903).

    Args:
        model: whose weights are followed; they are now those of the start.
        steps: about how many of the last steps count; the first steps are averaged over fewer.
        start_share: share of the start's weights in ``applied``; the rest are averaged ones.
    """

    def __init__(self, model: nn.Module, steps: float, start_share: float = 0.0) -> None:
        self._weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._decay = 1 - 1 / max(steps, 1.0)
        self._start_share = start_share
        self.averages = [weight.detach().clone() for weight in self._weights]
        self.start = [average.clone() for average in self.averages] if start_share else []

    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps, counted from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, [weight.detach() for weight in self._weights], 1 - decay)

    def state(self) -> dict[str, list[Tensor]]:
        """What ``load`` needs to go on."""
        return {"averages": self.averages, "start": self.start}

    def load(self, state: dict[str, list[Tensor]]) -> None:
        """Go on from what ``state()`` was."""
        for name, mine in self.state().items():
            for here, saved in zip(mine, state[name], strict=True):
                here.copy_(saved)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While active, the model has the averaged weights, drawn back to the start."""
        kept = [weight.detach().clone() for weight in self._weights]
        self._set(self.averages)
        if self._start_share:
            with torch.no_grad():
                torch._foreach_lerp_([weight.detach() for weight in self._weights], self.start, self._start_share)
        try:
            yield
        finally:
            self._set(kept)

    def _set(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for weight, value in zip(self._weights, values, strict=True):
                weight.copy_(value)
