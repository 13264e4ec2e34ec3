"""Posts a second of prediction: python benchmarks/predict.py BUNDLE POSTS [options].

The bundle with torch, exported, run by OpenVINO where that is installed, and exported in 8-bit integers take turns,
round by round, in one process with the same number of threads, so that a noisy machine is noisy to all of them. Each
one scores the same posts twice a round: as `jointune predict` does, from files to probabilities, and the arithmetic
alone, on the batches of those posts that lie ready in memory. With --peer, another program, run as `COMMAND POSTS --out
RESULT`, has to write JSON with `validation`, in which there is `milliseconds_per_post`.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch
from results import circumstances, parser, save, show

from jointune import JointClassifier, Posts, read_posts
from jointune.export.exporter import export
from jointune.export.graph import quantize
from jointune.inference.onnx_backend import GRAPH, ExportedModel, load_exported
from jointune.inference.predictor import Predictor
from jointune.modalities.batch import Batch


def predictors(options: Namespace, posts: Posts, folder: Path) -> dict[str, Predictor]:
    """Return the predictors of one model, by the way they run it."""
    classifier = JointClassifier.load(options.bundle, device="cpu").set_params(progress=False)
    threads = torch.get_num_threads()
    export(classifier, folder / "exported", posts=posts[:64])
    exported = load_exported(folder / "exported", threads=threads)
    quantize(folder / "exported" / GRAPH, folder / GRAPH)
    rounded = ExportedModel(folder / GRAPH, exported.target, exported.preprocessors, threads=threads)
    ways = {"torch": classifier.predictor(), "exported": exported, "int8": replace(exported, probabilities=rounded)}
    if find_spec("openvino"):
        ways["openvino"] = load_exported(folder / "exported", "openvino", threads)
    return ways


def preloaded(predictor: Predictor, posts: Posts) -> list[tuple[list[Batch], int]]:
    """Return the batches that prediction makes of the posts, by chunks with the number of their posts."""
    kept: list[tuple[list[Batch], int]] = []

    def keep(batches: Iterable[Batch], count: int) -> np.ndarray:
        kept.append((list(batches), count))
        return np.zeros((count, len(predictor.labels)), dtype=np.float32)

    whole(replace(predictor, probabilities=keep), posts)
    return kept


def whole(predictor: Predictor, posts: Posts) -> float:
    """Seconds from files to probabilities."""
    began = time.perf_counter()
    for _ in predictor.stream(posts):
        pass
    return time.perf_counter() - began


def arithmetic(predictor: Predictor, chunks: list[tuple[list[Batch], int]]) -> float:
    """Seconds of the model alone."""
    began = time.perf_counter()
    for batches, count in chunks:
        predictor.probabilities(batches, count)
    return time.perf_counter() - began


def peer(options: Namespace, folder: Path) -> float:
    """Milliseconds a post of the other program."""
    result = folder / "peer.json"
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [*shlex.split(options.peer), options.posts, "--out", result]
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
    return float(json.loads(result.read_text(encoding="utf-8"))["validation"]["milliseconds_per_post"])


def main(options: Namespace) -> None:
    """Measure and print."""
    posts = read_posts(options.posts)[: options.count]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ways = predictors(options, posts, folder)
        chunks = preloaded(ways["torch"], posts)
        for predictor in ways.values():
            arithmetic(predictor, chunks)
        rounds = [
            {name: (whole(predictor, posts), arithmetic(predictor, chunks)) for name, predictor in ways.items()}
            for _ in range(options.rounds)
        ]
        milliseconds = {
            name: {
                "whole": 1000 * median(taken[name][0] for taken in rounds) / len(posts),
                "arithmetic": 1000 * median(taken[name][1] for taken in rounds) / len(posts),
            }
            for name in ways
        }
        if options.peer:
            milliseconds["peer"] = {"whole": peer(options, folder)}
    save(options.out, {"circumstances": circumstances(), "posts": len(posts), "milliseconds_per_post": milliseconds})
    base = milliseconds["exported"]["whole"]
    show(
        ["system", "posts a second", "ms a post", "of which arithmetic", "exported = 1"],
        [
            [
                name,
                f"{1000 / taken['whole']:.1f}",
                f"{taken['whole']:.1f}",
                f"{taken['arithmetic'] / taken['whole']:.0%}" if "arithmetic" in taken else "",
                f"{base / taken['whole']:.2f}",
            ]
            for name, taken in milliseconds.items()
        ],
    )


if __name__ == "__main__":
    arguments = parser(__doc__, "predict")
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("posts", type=Path)
    arguments.add_argument("--count", type=int, default=512, help="posts, the first of the table (default: 512)")
    arguments.add_argument("--rounds", type=int, default=5, help="of which the median counts (default: 5)")
    arguments.add_argument("--peer", help="another program, such as 'path/to/python path/to/fit.py --time-limit 600'")
    main(arguments.parse_args())
