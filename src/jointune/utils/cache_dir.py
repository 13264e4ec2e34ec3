"""The folder of the caches between runs: its place, its size limit, and clearing it."""

import functools
import logging
import math
import os
import shutil
from pathlib import Path

from jointune.errors import SettingsError

PATIENCE = 30.0
"""Seconds to wait while another process writes."""

OFF = "off"
"""Value of ``JOINTUNE_CACHE`` that turns the caches off."""

DEFAULT_LIMIT = 20 * 2**30
"""Bytes of prepared pictures to keep by default."""


def cache_folder() -> Path:
    """Return ``JOINTUNE_CACHE``, or ``jointune`` in the user's folder for caches.

    Raises:
        RuntimeError: the user has no home, or turned the caches off.
    """
    chosen = os.environ.get("JOINTUNE_CACHE")
    if chosen == OFF:
        raise RuntimeError(f"JOINTUNE_CACHE is {OFF}")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jointune"


def cache_limit() -> float:
    """Return how many bytes of prepared pictures to keep between runs: ``JOINTUNE_CACHE_GIB``, or 20 GiB.

    Raises:
        SettingsError: ``JOINTUNE_CACHE_GIB`` is not a number of GiB.
    """
    chosen = os.environ.get("JOINTUNE_CACHE_GIB")
    if not chosen:
        return DEFAULT_LIMIT
    try:
        limit = float(chosen)
    except ValueError:
        limit = math.nan
    if not limit >= 0:  # nan neither
        remedy = "give a number of GiB, 0 or more, or inf for no limit"
        raise SettingsError(f"JOINTUNE_CACHE_GIB={chosen!r}: {remedy}", setting="JOINTUNE_CACHE_GIB")
    return limit * 2**30


def cached_files() -> dict[str, tuple[int, int]]:
    """Return the number of files and their size in bytes, by the kind of content."""
    try:
        folder = cache_folder()
    except RuntimeError:
        return {}
    kinds = {
        "prepared pictures": folder.glob("pictures/*"),
        "texts read in pictures": folder.glob("image-text.sqlite*"),
        "encoders": folder.glob("encoders/*/*"),
        "embeddings": folder.glob("embeddings.sqlite*"),
    }
    sizes = {kind: [path.stat().st_size for path in paths if path.is_file()] for kind, paths in kinds.items()}
    return {kind: (len(each), sum(each)) for kind, each in sizes.items()}


def clear_caches() -> None:
    """Delete the caches. Runs that use them go on with the files they have opened."""
    try:
        folder = cache_folder()
    except RuntimeError:
        return
    for kind in ("pictures", "encoders"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    for path in (*folder.glob("image-text.sqlite*"), *folder.glob("embeddings.sqlite*")):
        path.unlink(missing_ok=True)


def say_not_kept(message: str) -> None:
    """Log once why something is not cached, unless the user turned the caches off."""
    if os.environ.get("JOINTUNE_CACHE") != OFF:
        _warn_once(message)


@functools.cache
def _warn_once(message: str) -> None:
    logging.getLogger("jointune").warning(message)
