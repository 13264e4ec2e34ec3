"""A trained model, run by torch."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from jointune.errors import SettingsError, setting
from jointune.inference.scored import LOGITS, check_vector
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

        def scores(batch: Batch) -> dict[str, np.ndarray]:
            logits = self.model(to_inputs(batch, self.device)).logits
            return {"answers": self.target.activate(logits.double().cpu().numpy())}

        return self._each(batches, count, scores)["answers"]

    def vectors(self, batches: Iterable[Batch], count: int, names: Collection[str]) -> dict[str, np.ndarray]:
        """Return vectors of each post, float32 [count, D] each, by name; takes and raises what a call does.

        Args:
            batches: of posts, one at least.
            count: of posts in all of them.
            names: ``joint``, modalities, and ``logits``, which are calibrated.

        Raises:
            SettingsError: the model has no such vector.
        """
        model: Any = self.model

        def vectors(batch: Batch) -> dict[str, np.ndarray]:
            outputs, found = model.run(to_inputs(batch, self.device))
            found = found | {LOGITS: outputs.logits}
            for name in names:
                check_vector(name, found)
            return {name: found[name].float().cpu().numpy() for name in names}

        return self._each(batches, count, vectors)

    def _each(
        self, batches: Iterable[Batch], count: int, compute: Callable[[Batch], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
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
