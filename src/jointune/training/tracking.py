"""Experiment trackers, all through Accelerate."""

import inspect
import re
from typing import Any

from jointune.errors import SettingsError, setting
from jointune.utils.extras import check_installed

TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
"""Each is also the name of its package, and of the extra that brings it."""


def check_trackers(track: str | None) -> None:
    """See to it that the tracker is known and installed, before any work is done.

    Raises:
        SettingsError: it is not known.
        MissingExtraError: it is not installed.
    """
    if track is None:
        return
    if track not in TRACKERS:
        raise SettingsError(f"{setting('track', track)}: choose one of {', '.join(TRACKERS)}", setting="track")
    check_installed(track, track, setting("track", track))


def loggable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as a tracker or a JSON file takes them; others than plain values are spelled out."""
    plain = (str, int, float, bool)
    return {name: value if isinstance(value, plain) else _spelled(value) for name, value in settings.items()}


def storable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as a JSON file keeps them: as ``loggable``, but None and lists of plain values stay."""
    lists = {name: list(value) for name, value in settings.items() if isinstance(value, list | tuple)}
    kept = {name: values for name, values in lists.items() if all(isinstance(one, str | int | float) for one in values)}
    return loggable(settings) | {name: None for name, value in settings.items() if value is None} | kept


def _spelled(value: Any) -> str:
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    # An address in memory is of one process: what is spelled by it is known by its class.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))
