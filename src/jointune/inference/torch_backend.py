"""A trained model, run by torch."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from jointune.errors import SettingsError, setting
from jointune.modalities.batch import Batch
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
        rows: np.ndarray | None = None
        with evaluating(self.model, self.device), torch.inference_mode(), autocast(self.device, self.precision):
            for batch in batches:
                logits = self.model(to_inputs(batch, self.device)).logits
                scores = self.target.activate(logits.double().cpu().numpy())
                if rows is None:
                    rows = np.zeros((count, scores.shape[1]), dtype=np.float32)
                rows[batch.indices] = scores
        assert rows is not None, "there are batches"
        return rows


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
