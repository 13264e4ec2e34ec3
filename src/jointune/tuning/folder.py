"""The folder of a tuning: what it is of, and whether it may be written to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointune.bundle import versions
from jointune.errors import OutputError
from jointune.files import atomic_file, refuse_existing, write_json
from jointune.posts.post import Posts
from jointune.training.tracking import loggable

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MARK = "tuning.json"
"""The file by which to know a tuning's folder."""

STUDY = "study.db"
"""Optuna's database in it."""

FORMAT = 1
"""Raised when an older jointune could no longer go on with the study."""


def open_folder(folder: Path, about: dict[str, Any], resume: bool, force: bool) -> None:
    """Begin a tuning's folder, or see that it belongs to this tuning.

    Raises:
        OutputError: it exists and is neither resumed nor replaced, or is of another tuning.
    """
    mark = folder / MARK
    if resume and mark.exists():
        found = json.loads(mark.read_text(encoding="utf-8"))
        differing = [name for name in about if found.get(name) != about[name]]
        if differing:
            raise OutputError(
                f"{folder} holds a tuning with other {' and '.join(differing)}: resume with the same, choose another "
                "--out, or replace it with --force"
            )
        return
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    refuse_existing(folder, force or empty, MARK)
    discard(folder)
    with atomic_file(mark) as path:
        write_json(path, about)


def discard(folder: Path) -> None:
    """Delete what a tuning wrote, and the folder where nothing else is in it."""
    if folder.is_dir():
        for name in (f"{STUDY}*", "trials.csv", "best.json", "report.md", MARK):
            for path in folder.glob(name):
                path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def about_of(
    learn: Posts, held: Posts, settings: Mapping[str, Any], space: "Mapping[str, BaseDistribution]"
) -> dict[str, Any]:
    """What a tuning is of: all that must agree for its trials to be compared, as JSON values."""
    environment = versions()
    return {
        "format": FORMAT,
        "training posts": learn.digest(),
        "validation posts": held.digest(),
        "settings": loggable(dict(settings)),
        "search space": {name: repr(values) for name, values in space.items()},
        "versions": {name: environment[name] for name in ("jointune", "torch", "transformers")},
    }
