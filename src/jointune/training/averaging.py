"""The exponential average of the weights along training: what is validated and kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """Averages a model's weights over the last steps, as in Polyak averaging with exponential weights.

    Single steps overshoot on few posts; their average is steadier and better than any of them (Izmailov et al., 2018,
    arXiv 1803.05407; Morales-Brotons et al., 2024, arXiv 2411.18704).

    Args:
        model: whose weights are followed.
        steps: about how many of the last steps count; the first steps are averaged over fewer.
    """

    def __init__(self, model: nn.Module, steps: float) -> None:
        self._weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._decay = 1 - 1 / max(steps, 1.0)
        self.averages = [weight.detach().clone() for weight in self._weights]

    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps, counted from 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(self.averages, [weight.detach() for weight in self._weights], step)

    def load(self, averages: list[Tensor]) -> None:
        """Go on from what ``averages`` was."""
        for mine, saved in zip(self.averages, averages, strict=True):
            mine.copy_(saved)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While active, the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        with torch.no_grad():
            for weight, average in zip(self._weights, self.averages, strict=True):
                kept = weight.clone()
                weight.copy_(average)
                average.copy_(kept)
