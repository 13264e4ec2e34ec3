"""Output of all benchmarks: a table on standard output, and a JSON file."""

import json
import platform
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from jointune import __version__
from jointune.utils.files import atomic_file
from jointune.utils.markdown import table


def parser(description: str | None, name: str) -> ArgumentParser:
    """Make a parser with the option that all benchmarks have."""
    made = ArgumentParser(description=description)
    made.add_argument("--out", type=Path, default=Path("build", "bench", f"{name}.json"), help="(default: %(default)s)")
    return made


def circumstances() -> dict[str, Any]:
    """Return what figures depend on beside the program."""
    return {
        "jointune": __version__,
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
    }


def save(path: Path, result: dict[str, Any]) -> None:
    """Write ``result`` whole or not at all, so that a reader never sees half of it."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def show(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table whose first column is words and whose others are numbers."""
    print(*table(header, "l" + "r" * (len(header) - 1), rows), sep="\n", flush=True)
