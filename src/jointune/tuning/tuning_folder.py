"""The run folder of a tuning, and its fingerprint."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointune.data.fingerprints import posts_digest
from jointune.data.post import Posts
from jointune.persistence.bundle import versions
from jointune.training.tracking import loggable
from jointune.utils.files import TUNING_MARK
from jointune.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STUDY = "study.db"
"""Optuna's database in it."""

FORMAT = 2
"""Raised where the study's file changes, or what a trial does: no study may hold trials of both kinds."""


def tuning_folder(folder: Path, resume: bool, force: bool) -> RunFolder:
    """Return the run folder of a tuning."""
    contents = (f"{STUDY}*", "trials.csv", "best.json", "report.md")
    return RunFolder(folder, TUNING_MARK, contents, resume, force)


def about_of(
    learn: Posts, held: Posts, settings: Mapping[str, Any], space: "Mapping[str, BaseDistribution]"
) -> dict[str, Any]:
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
