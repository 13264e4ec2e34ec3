"""Time and memory of training by the number of posts: python benchmarks/scale.py [POSTS] [options].

Each size is trained in a process of its own: preparation, the probe, one epoch and its validations, with the default
recipe and no pictures kept from earlier runs. POSTS are repeated until there are enough, each copy with another text
and another picture file. Time should grow in proportion to the posts, and memory by little; the table gives both
against the smallest size.

The tiny encoders cost next to nothing, so that the table is about everything else; their states are as wide as those
of the default ones, whose own arithmetic takes hours for the largest sizes.
"""

import csv
import multiprocessing
import os
import tempfile
import time
from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from results import circumstances, parser, save, show
from tiny_encoders import save_tiny_encoders

from jointune import JointClassifier
from jointune.data.image_file import image_bytes
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.utils.memory import peak_memory

SIZES = {"tiny": [1000, 4000, 16000, 64000], "default": [1000, 4000]}


def write_posts(source: Path, count: int, folder: Path) -> list[list[str]]:
    """Rows of text, picture and label, no two with the same text or the same picture file."""
    posts = read_posts(source)
    rows = []
    for number in range(count):
        post = posts[number % len(posts)]
        name = ""
        if post.image is not None:
            name = f"{number}.image"
            # Decoders stop at a picture's own end: the copy costs as much to decode, and is another one to the store.
            (folder / name).write_bytes(image_bytes(post.image) + number.to_bytes(4, "big"))
        rows.append([f"{post.text} {number}" if post.text is not None else "", name, post.label or ""])
    return rows


def train(path: Path, encoders: dict[str, str]) -> tuple[float, int]:
    """Seconds of fitting, and bytes of this process's peak."""
    os.environ["JOINTUNE_CACHE"] = "off"
    classifier = JointClassifier(**encoders, epochs=1, progress=False)
    began = time.perf_counter()
    classifier.fit(path)
    return time.perf_counter() - began, peak_memory() or 0


def main(options: Namespace) -> None:
    """Train at each size, and write what is there after each."""
    sizes = sorted(options.sizes or SIZES[options.encoders])
    header = ["posts", "seconds", "ms a post", "smallest = 1", "peak MiB", "smallest = 1"]
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoders = save_tiny_encoders(folder) if options.encoders == "tiny" else {}
        rows = write_posts(options.posts, sizes[-1], folder)
        for size in sizes:
            path = folder / f"{size}.csv"
            with open(path, "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["text", "image", "label"], *rows[:size]])
            # Started anew, not forked: a forked process's peak begins with what this one holds.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                seconds, peak = pool.submit(train, path, encoders).result()
            runs.append({"posts": size, "seconds": seconds, "peak_bytes": peak})
            result = {"circumstances": circumstances(), "encoders": options.encoders, "runs": runs}
            save(options.out, result)
    first = runs[0]
    print(f"{options.encoders} encoders, posts like those of {options.posts.name}\n")
    show(
        header,
        [
            [
                r["posts"],
                f"{r['seconds']:.1f}",
                f"{1000 * r['seconds'] / r['posts']:.2f}",
                f"{r['seconds'] / r['posts'] * first['posts'] / first['seconds']:.2f}",
                f"{r['peak_bytes'] / 2**20:.0f}",
                f"{r['peak_bytes'] / first['peak_bytes']:.2f}",
            ]
            for r in runs
        ],
    )


if __name__ == "__main__":
    arguments = parser(__doc__, "scale")
    arguments.add_argument("posts", type=Path, nargs="?", default=POSTS, help="(default: the demo posts)")
    arguments.add_argument("--encoders", choices=list(SIZES), default="tiny", help="(default: %(default)s)")
    arguments.add_argument("--sizes", type=int, nargs="+", help=f"numbers of posts (default: {SIZES})")
    main(arguments.parse_args())
