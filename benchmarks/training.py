"""Time of jointune's training step against plainer ones, in one run: python benchmarks/training.py [POSTS] [options].

Prints one table: posts a second through forward, backward and optimiser with the default encoders, each way of working
against the way a plain loop would do it. Rounds of the ways alternate, so that a noisy machine is noisy to all of them.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from jointune.training.forward import autocast, to_inputs
from results import circumstances, parser, save, show

from jointune import JointClassifier
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.modalities.batch import Batch, collate
from jointune.modalities.image.open import open_image
from jointune.modalities.image.store import ImageStore, store_images
from jointune.modalities.text.tokens import Tokens
from jointune.model import JointModel, make_model
from jointune.training.frozen_cache import run_frozen_layers
from jointune.training.training_set import TrainingSet
from jointune.utils.progress import QuietBar

BATCH, STEPS = 32, 3


def new_model(train_layers: float | None) -> JointModel:
    """Make a model of the default encoders and fusion; ``train_layers`` as for ``JointClassifier``."""
    text, image = load_text_encoder("minilm-l6")[0], load_image_encoder("efficientnet-lite0")[0]
    if train_layers is not None:
        text.freeze_lower(train_layers)
        image.freeze_lower(train_layers)
    return make_model(text, image, JointClassifier().fusion, 3, probe=True).train()


def main(options: Namespace) -> None:
    """Time each way and print the table."""
    posts = read_posts(options.posts)
    _, text, _ = load_text_encoder("minilm-l6")
    _, image, _ = load_image_encoder("efficientnet-lite0")
    upper, whole = new_model(JointClassifier().train_layers), new_model(None)
    store = ImageStore((*image.resize, 3))
    posts, places, _ = store_images(posts, image, store, "skip", QuietBar())
    encoded = text.encode([post.text or "" for post in posts])
    training, known = (
        TrainingSet(encoded, places, store, np.zeros(len(posts), dtype=np.int64), text, image) for _ in range(2)
    )
    recipe = JointClassifier().validated()
    run_frozen_layers(upper, known, recipe, torch.device("cpu"), QuietBar(), pictures=not recipe.augment)
    chosen = training.epoch_order(BATCH, 0, 0)

    optimizers = {model: torch.optim.AdamW(model.parameters(), lr=0.0, fused=True) for model in (upper, whole)}

    def stored(step: int, posts: TrainingSet = training) -> Batch:
        return posts.training_batch(chosen[step % len(chosen)], 0, step, 0.0, recipe.augment)

    def begun(step: int) -> Batch:
        return stored(step, known)

    def decoded(step: int) -> Batch:
        indices = chosen[step % len(chosen)]
        pixels = [image.crop(image.prepare(open_image(posts[i].image))) for i in indices if posts[i].image]
        tokens = text.encode([posts[i].text or "" for i in indices])
        return collate(indices, tokens, pixels, text, training.labels[indices])

    def padded(step: int) -> Batch:
        batch = stored(step)
        rows = [Tokens(np.resize(encoded[i].ids, text.max_tokens)) for i in batch.indices]
        return Batch(batch.indices, batch.present, text.pad(rows), batch.pixels, batch.labels)

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
        "jointune's step: upper layers from the states below, bf16, stored pictures, padded to the batch": lambda: (
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
