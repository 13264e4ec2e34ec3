"""The average of the weights along training, and over several runs of it: what is validated and kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """Averages a model's weights over the last steps, as in Polyak averaging with exponential weights.

    Single steps overshoot on few posts; their average is steadier and better than any of them (Izmailov et al., 2018,
    arXiv 1803.05407; Morales-Brotons et al., 2024, arXiv 2411.18704). So is the average of several runs from the same
    start (Wortsman et al., 2022, arXiv 2203.05482).

    Args:
        model: whose weights are followed.
        steps: about how many of the last steps count; the first steps are averaged over fewer.
        run_steps: the steps of a run.
        runs: how many runs there will be.

    Attributes:
        averages: of each weight that training can change; at the end of a run, over the ends of all runs so far.
        starts: the weights that every run starts from; empty where there is one run.
        sums: of the averages of the finished runs; empty likewise.
    """

    def __init__(self, model: nn.Module, steps: float, run_steps: int, runs: int = 1) -> None:
        self._weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._decay = 1 - 1 / max(steps, 1.0)
        self._run_steps, self._runs = run_steps, runs
        self.averages = [weight.detach().clone() for weight in self._weights]
        self.starts = [weight.clone() for weight in self.averages] if runs > 1 else []
        self.sums = [torch.zeros_like(weight) for weight in self.starts]

    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps of all runs, counted from 1."""
        own = (step - 1) % self._run_steps + 1
        decay = min(self._decay, (1 + own) / (10 + own))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(self.averages, [weight.detach() for weight in self._weights], own)
        if own == self._run_steps and self.sums:
            for average, total in zip(self.averages, self.sums, strict=True):
                total += average
                average.copy_(total / (step // self._run_steps))

    def begin_run(self, step: int, optimizer: Optimizer) -> None:
        """Start anew if a run ends with ``step`` and another follows: weights, averages and the optimizer's moments."""
        if self.starts and step < self._runs * self._run_steps and step % self._run_steps == 0:
            with torch.no_grad():
                for weight, average, start in zip(self._weights, self.averages, self.starts, strict=True):
                    weight.copy_(start)
                    average.copy_(start)
            optimizer.state.clear()

    def described(self, step: int) -> dict[str, int]:
        """Return what the training log is to say: at the end of one of several runs, how many are averaged."""
        ends = self.starts and step and step % self._run_steps == 0
        return {"averaged_runs": step // self._run_steps} if ends else {}

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Return what ``load_state_dict`` needs."""
        return {"averages": self.averages, "starts": self.starts, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        for name, own in self.state_dict().items():
            for mine, saved in zip(own, state[name], strict=True):
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
