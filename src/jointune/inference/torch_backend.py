"""A trained model, run by torch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from jointune.errors import SettingsError, setting
from jointune.inference.predictor import check_vector
from jointune.modalities.batch import Batch, in_order
from jointune.model import autocast, evaluating, to_inputs
from jointune.targets.target import Target


@dataclass(frozen=True)
class TorchBackend:
    """The probabilities of a model; safe to be called from several threads, as nothing is changed in it.

    Attributes:
        model: a ``torch.nn.Module`` from ``Inputs`` to ``Outputs``, on ``device``.
        target: activates the logits.
        device: where the model is.
        precision: ``fp32``, ``bf16`` or ``auto``.
    """

    model: torch.nn.Module
    target: Target
    device: torch.device
    precision: str = "fp32"

    def __call__(self, batches: Iterable[Batch], count: int) -> np.ndarray:
        """Return probabilities in the order of the batches' indices, float32 [count, C].

        Args:
            batches: of posts, one at least.
            count: of posts in all of them.

        Raises:
            TooLittleMemoryError: a batch is too large for the device.
        """

        def scores(batch: Batch) -> np.ndarray:
            logits = self.model(to_inputs(batch, self.device)).logits
            return self.target.activate(logits.double().cpu().numpy())

        return self._each(batches, count, scores)

    def vectors(self, batches: Iterable[Batch], count: int, of: str) -> np.ndarray:
        """Return a vector of each post, float32 [count, D]; takes and raises what a call does.

        Args:
            batches: of posts, one at least.
            count: of posts in all of them.
            of: ``joint``, or a modality.

        Raises:
            SettingsError: the model has no such vector.
        """
        model: Any = self.model

        def vector(batch: Batch) -> np.ndarray:
            _, found = model.run(to_inputs(batch, self.device))
            check_vector(of, found)
            return found[of].float().cpu().numpy()

        return self._each(batches, count, vector)

    def _each(self, batches: Iterable[Batch], count: int, compute: Callable[[Batch], np.ndarray]) -> np.ndarray:
        with evaluating(self.model, self.device), torch.inference_mode(), autocast(self.device, self.precision):
            return in_order(((batch, compute(batch)) for batch in batches), count)


def usable_device(device: str | None) -> torch.device:
    """Return the device to predict on; a GPU by default where there is one.

    Raises:
        SettingsError: there is no such device here.
    """
    try:
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as reason:
        first = str(reason).strip().splitlines()[0]
        raise SettingsError(
            f"{setting('device', device)}: it cannot be used here: {first}", "choose another", setting="device"
        ) from reason
    return target
