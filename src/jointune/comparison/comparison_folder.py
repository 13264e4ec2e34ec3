"""The folder of a comparison: what it is of, and whether it may be written to."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from jointune.comparison.cells import FAILURE, RESULT
from jointune.comparison.methods import METHODS, Setup
from jointune.comparison.protocol import Fold
from jointune.comparison.report.write import REPORT
from jointune.config import Config
from jointune.data.divide import VALIDATION
from jointune.data.fingerprints import posts_digest
from jointune.data.post import Posts
from jointune.persistence.bundle import versions
from jointune.training.tracking import loggable
from jointune.utils.files import COMPARISON_MARK
from jointune.utils.run_folder import RunFolder

FORMAT = 2
"""Raised where the files of cells change, or what a method does: no report may hold cells of both kinds."""


def comparison_folder(folder: Path, resume: bool = True, force: bool = False) -> RunFolder:
    """Return the run folder of a comparison."""
    cells = [f"cells/*{ending}" for ending in (RESULT, FAILURE)]
    return RunFolder(folder, COMPARISON_MARK, (*cells, *REPORT), resume, force)


def claim(folder: RunFolder, about: dict[str, Any]) -> None:
    """Begin a comparison's folder, or check that it belongs to this comparison; see ``RunFolder.claim``."""
    folder.claim(about, ("format", "posts", "protocol", "versions"))
    _check_setup(folder, about["setup"])


_NEEDED_BY = {"clip": ("clip", "clip-zero-shot"), "visualbert": ("visualbert",), "prompts": ("clip-zero-shot",)}


def _check_setup(folder: RunFolder, setup: dict[str, Any]) -> None:
    """Check that stored cells were run as these will be; what none of them depends on may still be named."""
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
