"""The folder of a comparison: what it is of, and whether it may be written to."""

import json
from pathlib import Path
from typing import Any

from jointune.bundle import versions
from jointune.comparison.methods import METHODS, Setup
from jointune.comparison.protocol import VALIDATION, Fold
from jointune.errors import OutputError
from jointune.files import COMPARISON_MARK, atomic_file, refuse_existing, write_json
from jointune.posts.post import Posts
from jointune.training.tracking import loggable

FORMAT = 1
"""Raised when an older jointune could no longer read the cells."""


def open_folder(folder: Path, about: dict[str, Any], resume: bool, force: bool) -> None:
    """Begin a comparison's folder, or see that it belongs to this comparison.

    Raises:
        OutputError: it exists and is neither resumed nor replaced, or is of another comparison.
    """
    mark = folder / COMPARISON_MARK
    if resume and mark.exists():
        found = json.loads(mark.read_text(encoding="utf-8"))
        same = ("format", "posts", "protocol", "setup", "versions")
        differing = [name for name in same if found.get(name) != json.loads(json.dumps(about[name]))]
        if differing:
            raise OutputError(
                f"{folder} holds a comparison with other {' and '.join(differing)}: resume with the same, choose "
                "another --out, or replace it with --force"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        refuse_existing(folder, force, COMPARISON_MARK)
        for path in sorted((folder / "cells").glob("*")):
            path.unlink()
    else:
        refuse_existing(folder, True, COMPARISON_MARK)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(mark) as path:
        write_json(path, about)


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
