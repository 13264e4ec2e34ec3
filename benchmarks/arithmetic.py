"""Share of an epoch that is necessary arithmetic: python benchmarks/arithmetic.py [POSTS] [options].

Three things in turn, round by round, so that a noisy machine is noisy to all of them: an epoch of jointune's
fine-tuning with its default recipe; the bare arithmetic of the same micro-batches, lying ready as tensors, through both
encoders forward and backward with a step of AdamW; and a plain matrix product. The first against the second says what
data and bookkeeping cost; the second against the third, how well the encoders' operations use the machine.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from accelerate import Accelerator
from results import circumstances, parser, save, show
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from jointune import JointClassifier
from jointune.config import Config
from jointune.data.divide import divide
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.model import Inputs, JointModel, autocast, make_model, supports_bf16, to_inputs
from jointune.training.fit import load_modalities, prepare
from jointune.training.frozen_cache import cache_frozen_layers
from jointune.training.microbatches import part_size
from jointune.training.trainer import Validation, fine_tune
from jointune.training.training_set import TrainingSet
from jointune.utils.progress import QuietBar

PRODUCTS = 8
"""Matrix products in a round."""


def preloaded(training: TrainingSet, config: Config, device: torch.device) -> list[list[Inputs]]:
    """Return the micro-batches of each step of the first epoch, with the shapes of the training loop's own draws."""
    steps = []
    for step, chosen in enumerate(training.epoch_order(config.batch_size, config.seed, 0)):
        size = part_size(config, device)
        parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        batches = [
            training.training_batch(part, config.seed * 1009, step, config.modality_dropout, config.augment, number)
            for number, part in enumerate(parts)
        ]
        steps.append([to_inputs(batch, device) for batch in batches])
    return steps


def pooled_sum(model: JointModel, inputs: Inputs) -> Tensor:
    """Return a number whose gradients cost no arithmetic beside the encoders'."""
    outputs = [model.encode(name, inputs) for name in model.encoders]
    return torch.stack([output.pooled.float().sum() for output in outputs if output is not None]).sum()


def convolution_backward_flops(
    gradient: list[int], states: list[int], weight: list[int], *rest: Any, **_: object
) -> int:
    """Each gradient that is needed costs what the forward pass does; all but the bias's are counted."""
    needed = rest[-1]
    return sum(needed[:2]) * conv_flop_count(states, weight, gradient)


def training_flops(model: JointModel, steps: list[list[Inputs]], device: torch.device) -> int:
    """Of both encoders, forward and backward."""
    # torch 2.13 forgets the groups in the backward pass of convolutions, and knows no other attention on CPU.
    formulas = {torch.ops.aten.convolution_backward: convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter, sdpa_kernel(SDPBackend.MATH):
        for inputs in (inputs for parts in steps for inputs in parts):
            with autocast(device, "auto"):  # what frozen layers said is in its precision
                total = pooled_sum(model, inputs)
            total.backward()
    model.zero_grad()
    return counter.get_total_flops()


def bare_epoch(model: JointModel, steps: list[list[Inputs]], device: torch.device) -> None:
    """Both encoders forward and backward, and AdamW: what no training of them can do without."""
    weights = [weight for encoder in model.each_encoder() for weight in encoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.0, fused=True)
    for parts in steps:
        for inputs in parts:
            with autocast(device, "auto"):
                total = pooled_sum(model, inputs)
            total.backward()
        optimizer.step()
        optimizer.zero_grad()


def main(options: Namespace) -> None:
    """Measure and print."""
    accelerator = Accelerator()
    device = accelerator.device
    recipe = JointClassifier(on_bad_image="skip").validated()
    config = replace(recipe, epochs=1, epoch_steps=1, evaluations_per_epoch=1)
    posts = read_posts(options.posts)[: options.count]
    data = prepare(divide(posts, posts), config, load_modalities(config))  # validation is not measured
    training = data.training
    encoders = {name: loaded.encoder for name, loaded in data.modalities.items()}
    model = make_model(encoders, config.fusion, data.target.outputs, probe=True).to(device)
    cache_frozen_layers(model, training, data.validation, config, device, QuietBar())
    steps = preloaded(training, config, device)

    flops = training_flops(model.train(), steps, device)
    dtype = torch.bfloat16 if supports_bf16(device) else torch.float32
    side = options.side
    left, right = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        f"matrix product, {side} x {side}, {str(dtype).removeprefix('torch.')}": (
            PRODUCTS * 2 * side**3,
            lambda: [left @ right for _ in range(PRODUCTS)],
        ),
        "both encoders and AdamW, bare": (flops, lambda: bare_epoch(model, steps, device)),
        # No validation: how often posts are scored is the user's choice, and arithmetic as well.
        "epoch of fine-tuning": (
            flops,
            lambda: fine_tune(model, training, lambda _: Validation((0.0,), 0.0, {}), config, accelerator, data.target),
        ),
    }

    def seconds(way: Callable[[], object]) -> float:
        began = time.perf_counter()
        way()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(options.rounds + 1):
        for name, (_, way) in ways.items():
            model.train()
            taken = seconds(way)
            if round_number:  # the first round warms up
                times[name].append(taken)

    rates = {name: flops / median(times[name]) for name, (flops, _) in ways.items()}
    product, bare, epoch = ways
    waste = 1 - median(times[bare]) / median(times[epoch])
    result = {"posts": len(training), "flops": {name: flops for name, (flops, _) in ways.items()}, "seconds": times}
    save(options.out, {"circumstances": circumstances(), "data and bookkeeping": waste} | result)
    print(f"{len(training)} posts of {options.posts.name}, {torch.get_num_threads()} threads\n")
    show(
        ["", "seconds", "GFLOP/s", "matrix product = 1"],
        [[n, f"{median(times[n]):.2f}", f"{rates[n] / 1e9:.1f}", f"{rates[n] / rates[product]:.2f}"] for n in ways],
    )
    print(f"\nData and bookkeeping: {waste:.1%} of the epoch's time.")


if __name__ == "__main__":
    arguments = parser(__doc__, "arithmetic")
    arguments.add_argument("posts", type=Path, nargs="?", default=POSTS, help="(default: the demo posts)")
    arguments.add_argument("--count", type=int, default=320, help="posts of an epoch at most (default: %(default)s)")
    arguments.add_argument("--rounds", type=int, default=3, help="after one that warms up (default: %(default)s)")
    arguments.add_argument("--side", type=int, default=2048, help="of the square matrices (default: %(default)s)")
    main(arguments.parse_args())
