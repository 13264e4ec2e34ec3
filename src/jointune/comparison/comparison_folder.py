"""The folder of a comparison: what it is of, and whether it may be written to."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from jointune.comparison.cells import stored_cells
from jointune.comparison.methods import METHODS, Setup
from jointune.comparison.protocol import Fold
from jointune.comparison.report.write import REPORT
from jointune.config import Config
from jointune.data.divide import VALIDATION
from jointune.data.fingerprints import posts_digest
from jointune.data.post import Posts
from jointune.persistence.bundle import versions
from jointune.training.tracking import loggable
from jointune.utils.files import COMPARISON_MARK, atomic_file, write_json
from jointune.utils.run_folder import claim_folder, read_mark, refuse_other

FORMAT = 2
"""Raised where the files of cells change, or what a method does: no report may hold cells of both kinds."""


def open_folder(folder: Path, about: dict[str, Any], resume: bool, force: bool) -> None:
    """Begin a comparison's folder, or see that it belongs to this comparison; see ``claim_folder``."""
    same = ("format", "posts", "protocol", "versions")
    claim_folder(folder, COMPARISON_MARK, about, same, "comparison", _clear, resume, force)
    _check_setup(folder, about["setup"])


_NEEDED_BY = {"clip": ("clip", "clip-zero-shot"), "visualbert": ("visualbert",), "prompts": ("clip-zero-shot",)}


def _check_setup(folder: Path, setup: dict[str, Any]) -> None:
    """See that stored cells were run as these will be; what none of them depends on may still be named."""
    about = read_mark(folder / COMPARISON_MARK)
    found, wanted = about["setup"], json.loads(json.dumps(setup))
    settings = found["settings"] | wanted["settings"]
    differing = [name for name in settings if found["settings"].get(name) != wanted["settings"].get(name)]
    for name, methods in _NEEDED_BY.items():
        if found[name] != wanted[name] and any(any((folder / "cells").glob(f"{method}.*")) for method in methods):
            differing.append(name)
    refuse_other(folder, "comparison", differing)
    if found != wanted:
        with atomic_file(folder / COMPARISON_MARK) as path:
            write_json(path, about | {"setup": wanted})


def _clear(folder: Path) -> None:
    for path in (*stored_cells(folder / "cells"), *(folder / name for name in REPORT)):
        path.unlink(missing_ok=True)


def about_of(posts: Posts, divided: list[Fold], folds: int | None, setup: Setup) -> dict[str, Any]:
    """What a comparison is of: as much as must agree for its cells to be compared, and what a report says of it."""
    environment = versions()
    recipe = vars(Config(**setup.settings))
    return {
        "format": FORMAT,
        "posts": {"name": posts.name, "number": len(posts), "sha256": posts_digest(posts)},
        "protocol": {
            "folds": len(divided),
            "divided by": "split column"
            if folds is None
            else "stratified folds, identical pictures and texts together",
            "validation": VALIDATION,
            "sizes": [[len(fold.learn), len(fold.check), len(fold.test)] for fold in divided],
        },
        "setup": {
            "settings": loggable(setup.settings),
            "clip": setup.clip,
            "visualbert": setup.visualbert,
            "prompts": setup.prompts,
        },
        "versions": {name: environment[name] for name in ("jointune", "torch", "transformers")},
        "environment": environment | _machine(),
        "begun": f"{datetime.now(UTC):%Y-%m-%d}",
        "recipe": {
            name: value if isinstance(value, _JSON) else str(value)
            for name, value in recipe.items()
            if name not in _NO_RECIPE
        },
        "methods": {name: method.about for name, method in METHODS.items()},
    }


_NO_RECIPE = ("seed", "progress", "track", "device", "on_bad_image")
"""Parameters of ``JointClassifier`` that scores do not depend on, or that are told elsewhere."""


_JSON = (str, int, float, bool, list, tuple, type(None))


def _machine() -> dict[str, str]:
    """What seconds and memory depend on."""
    processor = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.exists():
        names = [line.split(":", 1)[1].strip() for line in known.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    found = {"processor": processor, "cores": str(os.cpu_count()), "threads": str(torch.get_num_threads())}
    return found | ({"GPU": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})
