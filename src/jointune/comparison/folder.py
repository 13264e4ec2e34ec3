"""The folder of a comparison: what it is of, and whether it may be written to."""

from pathlib import Path
from typing import Any

from jointune.bundle import versions
from jointune.comparison.methods import METHODS, Setup
from jointune.comparison.protocol import VALIDATION, Fold
from jointune.files import COMPARISON_MARK, claim_folder
from jointune.posts.post import Posts
from jointune.training.tracking import loggable

FORMAT = 1
"""Raised when an older jointune could no longer read the cells."""


def open_folder(folder: Path, about: dict[str, Any], resume: bool, force: bool) -> None:
    """Begin a comparison's folder, or see that it belongs to this comparison; see ``claim_folder``."""
    same = ("format", "posts", "protocol", "setup", "versions")
    claim_folder(folder, COMPARISON_MARK, about, same, "comparison", _clear, resume, force)


def _clear(folder: Path) -> None:
    for path in sorted((folder / "cells").glob("*")):
        path.unlink()


def about_of(posts: Posts, divided: list[Fold], folds: int | None, setup: Setup) -> dict[str, Any]:
    """What a comparison is of: as much as must agree for its cells to be compared, and what a report says of it."""
    environment = versions()
    return {
        "format": FORMAT,
        "posts": {"name": posts.name, "number": len(posts), "sha256": posts.digest()},
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
        "environment": environment,
        "methods": {name: method.about for name, method in METHODS.items()},
    }
