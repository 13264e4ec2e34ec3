"""The folder of a tuning: what it is of, and whether it may be written to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jointune.data.fingerprints import posts_digest
from jointune.data.post import Posts
from jointune.persistence.bundle import versions
from jointune.training.tracking import loggable
from jointune.utils.files import TUNING_MARK
from jointune.utils.run_folder import claim_folder

STUDY = "study.db"
"""Optuna's database in it."""

FORMAT = 2
"""Raised where the study's file changes, or what a trial does: no study may hold trials of both kinds."""


def open_folder(folder: Path, about: dict[str, Any], resume: bool, force: bool) -> None:
    """Begin a tuning's folder, or see that it belongs to this tuning; see ``claim_folder``."""
    claim_folder(folder, TUNING_MARK, about, about, "tuning", discard, resume, force)


def discard(folder: Path) -> None:
    """Delete what a tuning wrote, and the folder where nothing else is in it."""
    if folder.is_dir():
        for name in (f"{STUDY}*", "trials.csv", "best.json", "report.md", TUNING_MARK):
            for path in folder.glob(name):
                path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def about_of(learn: Posts, held: Posts, settings: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of a tuning: all that must agree for its trials to be compared, as JSON values."""
    environment = versions()
    return {
        "format": FORMAT,
        "training posts": posts_digest(learn),
        "validation posts": posts_digest(held),
        "settings": loggable(dict(settings)),
        "search space": {name: repr(values) for name, values in space.items()},
        "versions": {name: environment[name] for name in ("jointune", "torch", "transformers")},
    }
