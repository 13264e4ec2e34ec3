"""What a Ray cluster of two cores on this machine gives and costs: python benchmarks/cluster.py BUNDLE POSTS [options].

Speed: the same posts by the local command and by one and two workers with one core each. Memory: peaks of the command
and of its workers with more and more posts, scored with tiny encoders. Deaths: workers are killed at random moments, or
the command is and then resumed; the outputs must be byte for byte those of a run that nobody disturbed. Needs Linux and
the extra ray.
"""

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from results import circumstances, parser, save, show
from tiny_encoders import save_tiny_encoders

from jointune import JointClassifier, read_posts
from jointune.demo import POSTS
from jointune.utils.memory import peak_memory

PART_ROWS = 250


def write_parts(posts: Path, count: int, folder: Path) -> Path:
    """Write ``count`` posts, as often as needed the same ones, as tables of ``PART_ROWS`` rows."""
    folder.mkdir()
    source = read_posts(posts)
    for first in range(0, count, PART_ROWS):
        with open(folder / f"part{first // PART_ROWS:05}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "image"])
            for number in range(first, min(first + PART_ROWS, count)):
                post = source[number % len(source)]
                writer.writerow([number, post.text or "", post.image or ""])
    return folder


@contextmanager
def cluster() -> Iterator[str]:
    """Run two nodes with one core each, and give their address."""
    from ray.cluster_utils import Cluster

    handler = signal.getsignal(signal.SIGTERM)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    signal.signal(signal.SIGTERM, handler)  # a node of Ray takes it for itself
    try:
        yield made.address
    finally:
        made.shutdown()


def predict(bundle: Path, posts: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start the command."""
    command = [sys.executable, "-m", "jointune", "predict", bundle, posts, "--out", out, "--quiet", *more]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)


def processes(name: bytes) -> list[int]:
    """Return the processes whose command line begins with ``name``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(name):
                found.append(int(process.name))
        except OSError:
            continue
    return found


@dataclass
class Peaks:
    """The greatest memory of a command and of its workers, bytes."""

    command: int = 0
    workers: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self, process: int) -> None:
        """Look every second, until the command has ended."""
        while not self.ended.wait(1):
            self.command = max(self.command, peak_memory(process) or 0)
            self.workers = max([self.workers, *(peak_memory(own) or 0 for own in processes(b"ray::PartWorker"))])


def timed(bundle: Path, posts: Path, out: Path, *more: str) -> dict[str, float]:
    """Run the command; return its seconds and its peaks of memory."""
    began = time.perf_counter()
    running, peaks = predict(bundle, posts, out, *more), Peaks()
    watching = threading.Thread(target=peaks.watch, args=(running.pid,))
    watching.start()
    code = running.wait()
    peaks.ended.set()
    watching.join()
    if code:
        raise SystemExit(f"the command ended with exit code {code}")
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "command MiB": peaks.command / 2**20, "worker MiB": peaks.workers / 2**20}


def tables(folder: Path) -> dict[str, bytes]:
    """Return the contents of the tables in a folder."""
    return {file.name: file.read_bytes() for file in folder.glob("*.csv")}


def survives(bundle: Path, posts: Path, out: Path, ray: Sequence[str], rng: random.Random, driver: bool) -> bool:
    """Kill two workers, or the command, at random moments; return whether the output is complete afterwards."""
    running = predict(bundle, posts, out, *ray)
    if driver:
        time.sleep(rng.uniform(3, 12))
        running.kill()
        running.wait()
        return predict(bundle, posts, out, *ray, "--resume").wait() == 0
    kills = 0
    while running.poll() is None:
        time.sleep(rng.uniform(0.5, 4))
        if kills < 2 and (workers := processes(b"ray::PartWorker")):
            os.kill(rng.choice(workers), signal.SIGKILL)
            kills += 1
    return running.returncode == 0 and kills == 2


def main(options: Namespace) -> None:
    """Measure what was asked for, and print it."""
    result: dict[str, Any] = {"circumstances": circumstances()}
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name, cluster() as address:
        folder = Path(name)
        workers = {number: ("--ray", address, "--workers", str(number)) for number in (1, 2)}
        if options.count:
            posts = write_parts(options.posts, options.count, folder / "posts")
            speed: dict[str, dict[str, float]] = {}
            result |= {"posts": options.count, "speed": speed}
            for how, out, more in (
                ("local", "0.csv", ()),
                ("2 workers", "2", workers[2]),
                ("1 worker", "1", workers[1]),
            ):
                speed[how] = timed(options.bundle, posts, folder / out, *more)
                save(options.out, result)
            print(f"{options.count:,} posts in parts of {PART_ROWS}")
            header = ["predict", "seconds", "local = 1"]
            local = speed["local"]["seconds"]
            show(header, [[n, f"{r['seconds']:.0f}", f"{r['seconds'] / local:.2f}"] for n, r in speed.items()])
        if options.sizes or options.kills:
            classifier = JointClassifier(**save_tiny_encoders(folder), epochs=0, progress=False)
            classifier.fit(read_posts(POSTS, split_column="split"))
            classifier.save(folder / "tiny")
        if options.sizes:
            rows = []
            for size in options.sizes:
                posts = write_parts(POSTS, size, folder / f"posts{size}")
                rows.append({"posts": size} | timed(folder / "tiny", posts, folder / f"scored{size}", *workers[2]))
                save(options.out, result | {"memory": rows})
            result |= {"memory": rows}
            show(list(rows[0]), [[f"{value:,.0f}" for value in row.values()] for row in rows])
        if options.kills:
            posts = write_parts(POSTS, 20 * PART_ROWS, folder / "few")
            timed(folder / "tiny", posts, folder / "calm", *workers[2])
            same: dict[str, dict[str, int]] = {}
            for who, runs in (("worker", options.kills), ("command", max(1, options.kills // 3))):
                outs = [folder / f"{who}{run}" for run in range(runs)]
                ends = [survives(folder / "tiny", posts, out, workers[2], rng, who == "command") for out in outs]
                alike = [tables(out) == tables(folder / "calm") for out in outs]
                same[who] = {"runs": runs, "same": sum(np.logical_and(ends, alike).tolist())}
                save(options.out, result | {"deaths": same})
            show(["killed", "runs", "same bytes"], [[who, row["runs"], row["same"]] for who, row in same.items()])


if __name__ == "__main__":
    arguments = parser(__doc__, "cluster")
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("posts", type=Path)
    arguments.add_argument("--count", type=int, default=20_000, help="posts of the speed; 0 for none (default: 20,000)")
    arguments.add_argument("--sizes", type=int, nargs="*", default=[20_000, 200_000], help="posts of the memory")
    arguments.add_argument("--kills", type=int, default=10, help="runs in which workers die; a third as many commands")
    main(arguments.parse_args())
