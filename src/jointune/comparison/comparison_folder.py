"""The folder of a comparison: describe what it holds, and refuse to mix comparisons."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from jointune.comparison.cells import FAILURE, RESULT
from jointune.comparison.methods import METHODS, Setup
from jointune.comparison.report.write import REPORT
from jointune.config import Config
from jointune.data.divide import VALIDATION
from jointune.data.fingerprints import posts_digest
from jointune.data.folds import Fold, ways_of_division
from jointune.data.post import Posts
from jointune.persistence.bundle import versions
from jointune.training.tracking import storable
from jointune.utils.files import COMPARISON_MARK
from jointune.utils.run_folder import RunFolder

FORMAT = 2
"""Raised if the files of cells change, or what a method does: no report may hold cells of both kinds."""

_NEEDED_BY = {"clip": ("clip", "clip-zero-shot"), "visualbert": ("visualbert",), "prompts": ("clip-zero-shot",)}
"""The methods that depend on each field of the setup."""

_NO_RECIPE = ("seed", "progress", "track", "device", "on_bad_image")
"""Settings that scores do not depend on, or that are described elsewhere."""


def comparison_folder(folder: Path, resume: bool = True, force: bool = False) -> RunFolder:
    """Return the run folder of a comparison."""
    cells = [f"cells/*{ending}" for ending in (RESULT, FAILURE)]
    return RunFolder(folder, COMPARISON_MARK, (*cells, *REPORT), resume, force)


def open_folder(folder: RunFolder, about: dict[str, Any]) -> None:
    """Begin a comparison's folder, or check that it belongs to this comparison; see ``RunFolder.claim``."""
    folder.claim(about, ("format", "posts", "protocol", "versions"))
    _check_setup(folder, about["setup"])


def _check_setup(folder: RunFolder, setup: dict[str, Any]) -> None:
    """Check that stored cells were run as these will be; what no stored cell depends on may still be named."""
    about = folder.fingerprint()
    stored, wanted = about["setup"], json.loads(json.dumps(setup))
    settings = stored["settings"] | wanted["settings"]
    differing = [name for name in settings if stored["settings"].get(name) != wanted["settings"].get(name)]
    for name, methods in _NEEDED_BY.items():
        cells = folder.path / "cells"
        if stored[name] != wanted[name] and any(any(cells.glob(f"{method}.*")) for method in methods):
            differing.append(name)
    folder.refuse_other(differing)
    if stored != wanted:
        folder.write_fingerprint(about | {"setup": wanted})


def describe(posts: Posts, divided: list[Fold], folds: int | None, setup: Setup) -> dict[str, Any]:
    """Describe a comparison: what must agree for its cells to be compared, and what a report states of it."""
    environment = versions()
    config = Config(**setup.settings)
    recipe = {name: value for name, value in vars(config).items() if name not in _NO_RECIPE}
    plain = (str, int, float, list, tuple, type(None))
    return {
        "format": FORMAT,
        "posts": {"name": posts.name, "number": len(posts), "sha256": posts_digest(posts, config.field_columns)},
        "protocol": {
            "folds": len(divided),
            "divided by": "split column" if folds is None else ways_of_division(posts),
            "validation": VALIDATION,
            "sizes": [[len(fold.train), len(fold.validation), len(fold.test)] for fold in divided],
        },
        "setup": vars(setup) | {"settings": storable(setup.settings)},
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
