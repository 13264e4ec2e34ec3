"""Seconds until a validation score is reached, for jointune and others: python benchmarks/time_to_score.py POSTS.

POSTS is a CSV file with the columns text, image, label and split. One after the other, each in a process of its own on
the same cores: `jointune train` with its defaults and no pictures kept from earlier runs; the plain loop beside this
file; and, with --peer, another program, run as `COMMAND POSTS --out RESULT`. That has to write JSON with `fit_seconds`
and `validation`, in which there is `accuracy`; of its scores on the way nothing is known. Seconds count from the start
of each one's training, after its imports; validations on the way are part of them.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from results import circumstances, parser, save, show

Log = list[dict[str, float]]
"""``seconds`` and ``accuracy`` of each validation, in order."""


def run(command: list[str | Path], threads: int | None) -> None:
    """Run a system; what it says goes to standard error."""
    environment = os.environ | {"JOINTUNE_CACHE": "off"} | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def jointune(options: Namespace, folder: Path) -> Log:
    """Train the default recipe from the command line, as users do."""
    bundle = folder / "model"
    command = [sys.executable, "-m", "jointune", "train", options.posts, "--split-column", "split", "--out", bundle]
    run([*command, "--seed", str(options.seed)], options.threads)
    log = [json.loads(line) for line in (bundle / "training_log.jsonl").read_text(encoding="utf-8").splitlines()]
    if not all("seconds" in entry for entry in log):
        raise SystemExit("jointune's training log does not say after how many seconds a score was reached")
    return log


def plain_loop(options: Namespace, folder: Path) -> Log:
    """Train a loop as one would write it by hand."""
    script, result = Path(__file__).with_name("plain_loop.py"), folder / "plain_loop.json"
    command = [sys.executable, script, options.posts, "--epochs", str(options.plain_epochs), "--out", result]
    run([*command, "--seed", str(options.seed)], options.threads)
    return json.loads(result.read_text(encoding="utf-8"))["log"]


def peer(options: Namespace, folder: Path) -> Log:
    """Run the other program, whose last score alone is known."""
    result = folder / "peer.json"
    run([*shlex.split(options.peer), options.posts, "--out", result], options.threads)
    found = json.loads(result.read_text(encoding="utf-8"))
    return [{"seconds": found["fit_seconds"], "accuracy": found["validation"]["accuracy"]}]


def best(log: Log) -> dict[str, float]:
    """Return the first of the best validations."""
    return max(log, key=lambda entry: entry["accuracy"])


def seconds_to(log: Log, accuracy: float) -> float | None:
    """When ``accuracy`` was first reached; None where it never was."""
    return next((entry["seconds"] for entry in log if entry["accuracy"] >= accuracy), None)


def main(options: Namespace) -> None:
    """Run the systems, print what each took, and write all validations."""
    systems: dict[str, Callable[[Namespace, Path], Log]] = {"jointune": jointune, "plain loop": plain_loop}
    if options.peer:
        systems["peer"] = peer
    logs: dict[str, Log] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, system in systems.items():
            logs[name] = system(options, Path(folder))
            said = circumstances() | ({"threads": options.threads} if options.threads else {})
            save(options.out, {"circumstances": said, "seed": options.seed, "logs": logs})

    targets = {name: best(log)["accuracy"] for name, log in logs.items() if name != "jointune"}
    header = ["system", "best accuracy", "reached after"]
    for name, accuracy in targets.items():
        header += [f"to {name}'s best, {accuracy:.4f}", "jointune = 1"]
    rows = []
    for name, log in logs.items():
        row = [name, f"{best(log)['accuracy']:.4f}", f"{best(log)['seconds']:.0f} s"]
        for accuracy in targets.values():
            taken, ours = seconds_to(log, accuracy), seconds_to(logs["jointune"], accuracy)
            row += ["never" if taken is None else f"{taken:.0f} s", f"{taken / ours:.2f}" if taken and ours else ""]
        rows.append(row)
    show(header, rows)


if __name__ == "__main__":
    arguments = parser(__doc__, "time_to_score")
    arguments.add_argument("posts", type=Path)
    arguments.add_argument("--peer", help="another program, such as 'path/to/python path/to/fit.py --time-limit 2400'")
    arguments.add_argument("--plain-epochs", type=int, default=10, help="epochs of the plain loop")
    arguments.add_argument("--threads", type=int, help="of each system; as many as there are cores by default")
    arguments.add_argument("--seed", type=int, default=0, help="of jointune and the plain loop")
    main(arguments.parse_args())
