"""Cost of threads that spin or sleep while they wait: python benchmarks/waiting.py [POSTS] [options].

Trains with the default recipe, from the command line as users run it: on quiet cores, and beside as many busy processes
as there are cores. Each way of waiting in turn, in several rounds; nothing else should run on the machine. Prints the
median seconds of each way and its ratio to sleeping at once (``OMP_WAIT_POLICY=passive``) and to OpenMP's default.
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from results import circumstances, parser, save, show

from jointune.demo import POSTS
from jointune.utils.threads import WAITING, available_cores

# With a user's value of any of these, the command line changes none of them: 300,000 rounds are GNU's default.
WAYS = {
    "OpenMP's default": {"GOMP_SPINCOUNT": "300000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "jointune": WAITING,
}


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep cores busy."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def train(posts: Path, waiting: dict[str, str], epochs: int) -> tuple[float, float]:
    """Train once; seconds on the clock and of all cores, imports and writing included."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "jointune", "train", posts, "--split-column", "split", "--quiet"]
        command += ["--epochs", str(epochs), "--out", Path(folder, "model")]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, env=environment | waiting, stdout=subprocess.DEVNULL)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(options: Namespace) -> None:
    """Time each way and print the table."""
    ways = WAYS | {f"{count} rounds": {"GOMP_SPINCOUNT": str(count)} for count in options.spin}
    places = {"quiet": 0, "beside others": available_cores()}
    taken: dict[str, dict[str, list[tuple[float, float]]]] = {way: {place: [] for place in places} for way in ways}
    for number in range(options.rounds):
        for place, processes in places.items():
            for way, waiting in ways.items():
                # It takes several times as long as all others together, and is known well enough after one round.
                if way == "OpenMP's default" and place != "quiet" and number:
                    continue
                with busy(processes):
                    taken[way][place].append(train(options.posts, waiting, options.epochs))
                save(options.out, {"circumstances": circumstances(), "epochs": options.epochs, "seconds": taken})

    def seconds(way: str, place: str) -> float:
        return median(clock for clock, _ in taken[way][place])

    header = ["threads wait", *(f"{place}, {what}" for place in places for what in ("s", "to passive", "to default"))]
    rows: list[list[str]] = []
    for way in ways:
        row = [way]
        for place in places:
            ratios = (seconds(way, place) / seconds(other, place) for other in ("passive", "OpenMP's default"))
            row += [f"{seconds(way, place):.1f}", *(f"{ratio:.2f}" for ratio in ratios)]
        rows.append(row)
    show(header, rows)


if __name__ == "__main__":
    arguments = parser(__doc__, "waiting")
    arguments.add_argument("posts", type=Path, nargs="?", default=POSTS)
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--spin", type=int, nargs="*", default=[], help="further numbers of rounds to try")
    main(arguments.parse_args())
