"""What jointune's training step saves, as ratios taken in one run: python benchmarks/training.py [POSTS].

Prints one table: posts a second through forward, backward and optimiser with the default encoders, each way of working
against the way a plain loop would do it. Rounds of the ways alternate, so that a noisy machine is noisy to all of them.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from jointune.batches.batch import Batch, collate
from jointune.batches.store import PictureStore, store_pictures
from jointune.batches.training_set import TrainingSet
from jointune.demo import POSTS
from jointune.encoders.huggingface import load_image_encoder, load_text_encoder
from jointune.model import make_model
from jointune.posts.pictures import open_picture
from jointune.posts.read import read_posts
from jointune.progress import QuietBar
from jointune.training.inference import autocast, to_inputs

BATCH, STEPS, ROUNDS = 32, 3, 3


def main(path: Path) -> None:
    """Time each way and print the table."""
    posts = read_posts(path)
    text_encoder, text, _ = load_text_encoder("minilm-l6")
    image_encoder, image, _ = load_image_encoder("efficientnet-lite0")
    model = make_model(text_encoder, image_encoder, "concat", 3).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
    store = PictureStore((*image.resize, 3))
    posts, places, _ = store_pictures(posts, image, store, "skip", QuietBar())
    encoded = text.encode([post.text or "" for post in posts])
    training = TrainingSet(encoded, places, store, np.zeros(len(posts), dtype=np.int64), text, image)
    chosen = training.epoch_order(BATCH, 0, 0)

    def stored(step: int) -> Batch:
        return training.training_batch(chosen[step % len(chosen)], 0, step, 0.0, True)

    def decoded(step: int) -> Batch:
        indices = chosen[step % len(chosen)]
        pixels = [image.crop(image.prepare(open_picture(posts[i].image))) for i in indices if posts[i].image]
        tokens = text.encode([posts[i].text or "" for i in indices])
        return collate(indices, tokens, pixels, text, training.labels[indices])

    def padded(step: int) -> Batch:
        batch = stored(step)
        rows = [np.resize(row, text.max_tokens) for row in (encoded[i] for i in batch.indices)]
        return Batch(batch.indices, batch.present, text.pad(rows), batch.pixels, batch.labels)

    def seconds(batch_of: Callable[[int], Batch], precision: str) -> float:
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
        "jointune's step: bf16, stored pictures, padded to the batch": lambda: seconds(stored, "bf16"),
        "the same in fp32": lambda: seconds(stored, "fp32"),
        "the same, padded to 128 tokens": lambda: seconds(padded, "bf16"),
        "the same, decoding each picture again": lambda: seconds(decoded, "bf16"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(ROUNDS + 1):
        for name, way in ways.items():
            taken = way()
            if round_number:  # the first round warms up
                times[name].append(taken)
    base = median(times[next(iter(ways))])
    print(f"{len(posts)} posts of {path.name}, batches of {BATCH}, {torch.get_num_threads()} threads\n")
    print("| way | posts/s | time, jointune's step = 1 |")
    print("| --- | ---: | ---: |")
    for name, taken in times.items():
        print(f"| {name} | {BATCH * STEPS / median(taken):.1f} | {median(taken) / base:.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else POSTS)
