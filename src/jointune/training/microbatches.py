"""The gradients of a training step, in parts that fit into memory."""

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from jointune.config import Config
from jointune.errors import TooLittleMemoryError
from jointune.modalities.batch import Batch
from jointune.model import autocast, to_inputs
from jointune.targets.target import Target
from jointune.training.training_set import TrainingSet
from jointune.utils.memory import trim_heap
from jointune.utils.progress import Bar
from jointune.utils.threads import prefetch
from jointune.utils.wording import counted

_CPU_PART = 16
"""Posts at once on a CPU: with more of them, states no longer fit into its caches."""


class Objective:
    """The objective of training: the loss of a target, in which posts weigh as their labels do.

    Args:
        target: of the posts.
        weights: of the labels, float [C]; None where all weigh alike.
        label_smoothing: the share of each label that is spread over all.
    """

    def __init__(self, target: Target, weights: Tensor | None, label_smoothing: float) -> None:
        self.target, self.weights = target, weights
        self.loss = target.loss(weights, label_smoothing)


def gradients(
    model: nn.Module,
    training: TrainingSet,
    objective: Objective,
    config: Config,
    first: int,
    total: int,
    accelerator: Accelerator,
    bar: Bar,
) -> Iterator[float]:
    """Add up the gradients of one step after the other, and yield the mean loss of each.

    A batch goes through the model in parts of ``config.micro_batch_size`` posts. Where a device has too little memory
    for that, the step is begun anew with parts of half the size, and so are all that follow.

    Args:
        model: what Accelerate made of a ``JointModel``.
        training: the posts to learn from.
        objective: the loss.
        config: sizes, precision and seed.
        first: the step to begin with.
        total: the number of steps.
        accelerator: holds the devices.
        bar: where a smaller size is told.

    Raises:
        TooLittleMemoryError: a single post does not fit, or one process of several ran out of memory.
    """
    step = first
    size = part_size(config, accelerator.device)
    while step < total:
        try:
            for parts, labels in prefetch(_stream(training, config, step, total, size, accelerator)):
                torch.manual_seed(config.seed * 1_000_003 + step * 101 + accelerator.process_index)
                loss = _backward(model, parts, labels, objective, config.precision, accelerator)
                step += 1
                yield loss
        except torch.OutOfMemoryError as error:
            short = f"{accelerator.device} has too little memory"
            if size == 1:
                raise TooLittleMemoryError(
                    f"{short} for one post", "train fewer layers or a smaller encoder"
                ) from error
            if accelerator.num_processes > 1:
                raise TooLittleMemoryError(
                    f"{short} for {counted(size, 'post')} at once", "set a lower micro_batch_size"
                ) from error
        else:
            return
        # Outside the handler: while it runs, the error keeps what filled the memory.
        size = (size + 1) // 2
        model.zero_grad(set_to_none=True)
        trim_heap()
        if accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        bar.line(f"too little memory on {accelerator.device}: going on with {counted(size, 'post')} at once")


def part_size(config: Config, device: torch.device) -> int:
    """Return the posts that go through the model at once, as long as they fit."""
    size = config.micro_batch_size or (_CPU_PART if device.type == "cpu" else config.batch_size)
    return min(size, config.batch_size)


def batches_of(training: TrainingSet, config: Config, epoch: int, accelerator: Accelerator) -> list[np.ndarray]:
    """Return the posts of each step of an epoch, for all processes together: the same as for one with their batches."""
    return training.epoch_order(config.batch_size * accelerator.num_processes, config.seed, epoch)


def _stream(
    training: TrainingSet, config: Config, first: int, total: int, size: int, accelerator: Accelerator
) -> Iterator[tuple[list[Batch], np.ndarray]]:
    """Yield this process's share of each step from ``first`` on, in parts of ``size`` posts, and the labels of all."""
    step, epoch = 0, 0
    while step < total:
        for chosen in batches_of(training, config, epoch, accelerator):
            if step >= first:
                seed = config.seed * 1009 + accelerator.process_index
                own = chosen[accelerator.process_index :: accelerator.num_processes]
                parts = [own[start : start + size] for start in range(0, len(own), size)]
                yield (
                    [
                        # A process without a share takes part in the exchange of gradients, with a loss of zero.
                        training.training_batch(part, seed, step, config.modality_dropout, config.augment, number)
                        for number, part in enumerate(parts or [chosen[:1]])
                    ],
                    training.labels[chosen],
                )
            step += 1
        epoch += 1


def _backward(
    model: nn.Module,
    parts: list[Batch],
    all_labels: np.ndarray,
    objective: Objective,
    precision: str,
    accelerator: Accelerator,
) -> float:
    """Add up the gradients of the parts of one step; its mean loss, in which posts weigh as their labels do.

    Processes average their gradients. So each one's loss is the sum over its own posts, over the mean weight of a
    process's posts: however the posts of a step are shared, their average is that of one process.
    """
    world = accelerator.num_processes
    share = 0 if len(all_labels) <= accelerator.process_index else world
    weight = objective.target.total_weight(torch.from_numpy(all_labels).to(accelerator.device), objective.weights)
    total = torch.zeros((), device=accelerator.device)
    for number, part in enumerate(parts, 1):
        # Processes exchange gradients once a step: one may have fewer parts than another.
        exchange = nullcontext() if number == len(parts) else accelerator.no_sync(model)
        with exchange:
            with autocast(accelerator.device, precision):
                output = model(to_inputs(part, accelerator.device))
            labels = torch.from_numpy(part.labels).to(accelerator.device)
            loss = objective.loss(output.logits.float(), labels) / weight
            if output.loss is not None:
                loss = loss + output.loss.float() * (len(part.indices) / len(all_labels))
            loss = loss * share
            accelerator.backward(loss)
        total += loss.detach()
    return float(accelerator.reduce(total, "mean") if world > 1 else total)
