"""The folder of a comparison: describe what it holds, and refuse to mix comparisons."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from jointune.comparison.cells import stored_cells
from jointune.comparison.methods import METHODS, Setup
from jointune.comparison.report.write import REPORT
from jointune.config import Config
from jointune.data.divide import VALIDATION
from jointune.data.fingerprints import posts_digest
from jointune.data.folds import Fold
from jointune.data.post import Posts
from jointune.persistence.bundle import versions
from jointune.training.tracking import loggable
from jointune.utils.files import COMPARISON_MARK, atomic_file, write_json
from jointune.utils.run_folder import claim_folder, read_mark, refuse_other

FORMAT = 2
"""Raised if the files of cells change, or what a method does: no report may hold cells of both kinds."""

_NEEDED_BY = {"clip": ("clip", "clip-zero-shot"), "visualbert": ("visualbert",), "prompts": ("clip-zero-shot",)}
"""The methods that depend on each field of the setup."""

_NO_RECIPE = ("seed", "progress", "track", "device", "on_bad_image")
"""Settings that scores do not depend on, or that are described elsewhere."""


def open_folder(folder: Path, about: dict[str, Any], resume: bool, force: bool) -> None:
    """Begin a comparison's folder, or check that it belongs to this comparison.

    What no stored cell depends on, such as a checkpoint of a method that was not run, may be named later.

    Raises:
        OutputError: the folder exists and is neither resumed nor replaced, or is of another comparison.
    """
    same = ("format", "posts", "protocol", "versions")
    claim_folder(folder, COMPARISON_MARK, about, same, "comparison", _clear, resume, force)
    stored = read_mark(folder / COMPARISON_MARK)
    before, now = stored["setup"], json.loads(json.dumps(about["setup"]))
    settings = before["settings"] | now["settings"]
    differing = [name for name in settings if before["settings"].get(name) != now["settings"].get(name)]
    for name, methods in _NEEDED_BY.items():
        if before[name] != now[name] and any(any((folder / "cells").glob(f"{method}.*")) for method in methods):
            differing.append(name)
    refuse_other(folder, "comparison", differing)
    if before != now:
        with atomic_file(folder / COMPARISON_MARK) as path:
            write_json(path, stored | {"setup": now})


def _clear(folder: Path) -> None:
    for path in (*stored_cells(folder / "cells"), *(folder / name for name in REPORT)):
        path.unlink(missing_ok=True)


def describe(posts: Posts, divided: list[Fold], folds: int | None, setup: Setup) -> dict[str, Any]:
    """Describe a comparison: what must agree for its cells to be compared, and what a report states of it."""
    environment = versions()
    by_folds = "stratified folds, identical pictures and texts together"
    recipe = {name: value for name, value in vars(Config(**setup.settings)).items() if name not in _NO_RECIPE}
    plain = (str, int, float, list, tuple, type(None))
    return {
        "format": FORMAT,
        "posts": {"name": posts.name, "number": len(posts), "sha256": posts_digest(posts)},
        "protocol": {
            "folds": len(divided),
            "divided by": "split column" if folds is None else by_folds,
            "validation": VALIDATION,
            "sizes": [[len(fold.train), len(fold.validation), len(fold.test)] for fold in divided],
        },
        "setup": vars(setup) | {"settings": loggable(setup.settings)},
        "versions": {name: environment[name] for name in ("jointune", "torch", "transformers")},
        "environment": environment | _machine(),
        "begun": f"{datetime.now(UTC):%Y-%m-%d}",
        "recipe": {name: value if isinstance(value, plain) else str(value) for name, value in recipe.items()},
        "methods": {name: method.about for name, method in METHODS.items()},
    }


def _machine() -> dict[str, str]:
    """Describe what seconds and memory depend on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    machine = {"processor": processor, "cores": str(os.cpu_count()), "threads": str(torch.get_num_threads())}
    return machine | ({"GPU": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})
