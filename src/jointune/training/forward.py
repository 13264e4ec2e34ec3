"""Batches through the model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from jointune.errors import TooLittleMemoryError
from jointune.modalities.batch import Batch
from jointune.model import Inputs
from jointune.utils.memory import freed_memory_kept

_STATES = {np.dtype(np.float32): torch.float32, np.dtype(np.int16): torch.bfloat16}
"""How states are kept in arrays: NumPy has no bfloat16, so those are kept as their bits."""


def to_inputs(batch: Batch, device: torch.device) -> Inputs:
    """A batch as tensors on ``device``."""

    def tensor(array: np.ndarray) -> torch.Tensor:
        made = torch.from_numpy(array)
        return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)

    return Inputs(
        tensor(batch.present),
        None if batch.text is None else {name: tensor(values) for name, values in batch.text.items()},
        None if batch.pixels is None else tensor(batch.pixels),
        None if batch.text_below is None else tensor(batch.text_below).view(_STATES[batch.text_below.dtype]),
        None if batch.image_below is None else tensor(batch.image_below).view(_STATES[batch.image_below.dtype]),
    )


def supports_bf16(device: torch.device) -> bool:
    """Whether ``device`` computes in bfloat16 natively, so that it is faster there."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision for ``bf16``, nothing for ``fp32``, and for ``auto`` what is faster on ``device``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen_precision(device, precision) == "bf16")


def chosen_precision(device: torch.device, precision: str) -> str:
    """``bf16`` or ``fp32``: what ``precision`` comes to on ``device``."""
    if precision == "auto":
        return "bf16" if supports_bf16(device) else "fp32"
    return precision


@contextmanager
def evaluating(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put the model into evaluation mode, and back into its own at the end.

    Args:
        model: on ``device``.
        device: named where it has too little memory.

    Raises:
        TooLittleMemoryError: the posts given at once are too many for it.
    """
    training = model.training
    model.eval()
    try:
        with freed_memory_kept():
            yield
    except torch.OutOfMemoryError as error:
        raise TooLittleMemoryError(
            f"{device} has too little memory to run so many posts at once", "set a lower batch_size"
        ) from error
    finally:
        model.train(training)


def probabilities(
    model: nn.Module, batches: Iterable[Batch], count: int, device: torch.device, precision: str = "fp32"
) -> np.ndarray:
    """Probabilities in the order of the batches' indices, float32 [count, C]; the model's mode is kept.

    Args:
        model: from ``Inputs`` to ``Outputs``.
        batches: of posts.
        count: of posts in all of them.
        device: where the model is.
        precision: see ``autocast``.

    Raises:
        TooLittleMemoryError: a batch is too large for the device.
    """
    rows: np.ndarray | None = None
    with evaluating(model, device), torch.inference_mode(), autocast(device, precision):
        for batch in batches:
            # Softmax in double, so that rounding never makes a row sum to anything but one.
            scores = model(to_inputs(batch, device)).logits.double().softmax(-1).cpu().numpy()
            if rows is None:
                rows = np.zeros((count, scores.shape[1]), dtype=np.float32)
            rows[batch.indices] = scores
    assert rows is not None, "there are batches"
    return rows
