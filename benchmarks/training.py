"""Time of jointune's training step against plainer ones, in one run: python benchmarks/training.py [POSTS] [options].

Prints one table: posts a second through forward, backward and optimiser with the default encoders, each way of working
against the way a plain loop would do it. Rounds of the ways alternate, so that a noisy machine is noisy to all of them.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from results import circumstances, parser, save, show

from jointune import JointClassifier
from jointune.config import Config
from jointune.data.divide import divide
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.modalities.batch import Batch, collate
from jointune.modalities.image.open import open_image
from jointune.modalities.modality import Loaded
from jointune.modalities.text.tokens import Tokens
from jointune.model import JointModel, autocast, make_model, to_inputs
from jointune.training.fit import load_modalities, prepare
from jointune.training.frozen_cache import cache_frozen_layers
from jointune.training.training_set import TrainingSet
from jointune.utils.progress import QuietBar

BATCH, STEPS = 32, 3


def new_model(modalities: dict[str, Loaded], config: Config) -> JointModel:
    """Make a model of the default encoders and fusion, in training mode."""
    encoders = {name: loaded.encoder for name, loaded in modalities.items()}
    return make_model(encoders, config.fusion, 3, probe=True).train()


def main(options: Namespace) -> None:
    """Time each way and print the table."""
    recipe = JointClassifier(on_bad_image="skip").validated()
    every_layer = replace(recipe, train_layers=None)
    posts = read_posts(options.posts)
    data = prepare(divide(posts, posts), recipe, load_modalities(recipe))  # validation is not measured
    upper, whole = new_model(data.modalities, recipe), new_model(load_modalities(every_layer), every_layer)
    preprocessors = {name: loaded.preprocessor for name, loaded in data.modalities.items()}
    text, image = preprocessors["text"], preprocessors["image"]
    training, posts = data.training, data.posts[0]
    known = TrainingSet({name: copy(rows) for name, rows in training.rows.items()}, training.labels)
    cache_frozen_layers(upper, known, data.validation, recipe, torch.device("cpu"), QuietBar())
    chosen = training.epoch_order(BATCH, 0, 0)

    optimizers = {model: torch.optim.AdamW(model.parameters(), lr=0.0, fused=True) for model in (upper, whole)}

    def stored(step: int, posts: TrainingSet = training) -> Batch:
        return posts.training_batch(chosen[step % len(chosen)], 0, step, 0.0, recipe.augment)

    def begun(step: int) -> Batch:
        return stored(step, known)

    def decoded(step: int) -> Batch:
        indices = chosen[step % len(chosen)]
        images = [open_image(post.image) if (post := posts[i]).image else None for i in indices]
        pixels = [None if one is None else [image.crop(image.prepare(one))] for one in images]
        tokens = text.rows([posts[i] for i in indices])
        return collate(indices, {"text": tokens, "image": pixels}, preprocessors, training.labels[indices])

    def padded(step: int) -> Batch:
        batch = stored(step)
        rows = [row for i in batch.indices if (row := training.rows["text"].rows[i]) is not None]
        full = text.collate([Tokens(np.resize(row.ids, text.max_tokens)) for row in rows])
        return replace(batch, inputs={**batch.inputs, "text": full})

    def seconds(batch_of: Callable[[int], Batch], precision: str, model: JointModel = upper) -> float:
        optimizer = optimizers[model]
        began = time.perf_counter()
        for step in range(STEPS):
            batch = batch_of(step)
            with autocast(torch.device("cpu"), precision):
                logits = model(to_inputs(batch, torch.device("cpu"))).logits
            torch.nn.functional.cross_entropy(logits.float(), torch.from_numpy(batch.labels)).backward()
            optimizer.step()
            optimizer.zero_grad()
        return time.perf_counter() - began

    ways: dict[str, Callable[[], float]] = {
        "jointune's step: upper layers from cached activations, bf16, stored pictures, padded to the batch": lambda: (
            seconds(begun, "bf16")
        ),
        "the same, running frozen layers each time": lambda: seconds(stored, "bf16"),
        "the same, training all layers": lambda: seconds(stored, "bf16", whole),
        "the same in fp32": lambda: seconds(stored, "fp32"),
        "the same, padded to 128 tokens": lambda: seconds(padded, "bf16"),
        "the same, decoding each picture again": lambda: seconds(decoded, "bf16"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(options.rounds + 1):
        for name, way in ways.items():
            taken = way()
            if round_number:  # the first round warms up
                times[name].append(taken)
    base = median(times[next(iter(ways))])
    save(options.out, {"circumstances": circumstances(), "posts a round": BATCH * STEPS, "seconds": times})
    print(f"{len(posts)} posts of {options.posts.name}, batches of {BATCH}, {torch.get_num_threads()} threads\n")
    show(
        ["way", "posts/s", "time, jointune's step = 1"],
        [[n, f"{BATCH * STEPS / median(taken):.1f}", f"{median(taken) / base:.2f}"] for n, taken in times.items()],
    )


if __name__ == "__main__":
    arguments = parser(__doc__, "training")
    arguments.add_argument("posts", type=Path, nargs="?", default=POSTS, help="(default: the demo posts)")
    arguments.add_argument("--rounds", type=int, default=3, help="after one that warms up (default: %(default)s)")
    main(arguments.parse_args())
