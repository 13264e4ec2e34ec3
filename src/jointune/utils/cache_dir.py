"""Where jointune keeps what it need not work out twice, how much of it, and how to be rid of it."""

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
"""What ``JOINTUNE_CACHE`` says where nothing may be kept."""

DEFAULT_LIMIT = 20 * 2**30
"""Bytes of prepared pictures to keep, where ``JOINTUNE_CACHE_GIB`` does not say."""


def cache_folder() -> Path:
    """``JOINTUNE_CACHE``, or ``jointune`` in the user's folder for caches.

    Raises:
        RuntimeError: the user has no home, or wants nothing to be kept.
    """
    chosen = os.environ.get("JOINTUNE_CACHE")
    if chosen == OFF:
        raise RuntimeError(f"JOINTUNE_CACHE is {OFF}")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jointune"


def cache_limit() -> float:
    """Bytes of prepared pictures to keep between runs: ``JOINTUNE_CACHE_GIB``, or 20 GiB.

    Raises:
        SettingsError: it is no number of GiB.
    """
    chosen = os.environ.get("JOINTUNE_CACHE_GIB")
    if not chosen:
        return DEFAULT_LIMIT
    try:
        limit = float(chosen)
    except ValueError:
        limit = math.nan
    if not limit >= 0:  # as nan is not
        raise SettingsError(
            f"JOINTUNE_CACHE_GIB={chosen!r}: give a number of GiB, 0 or more, or inf for no limit",
            setting="JOINTUNE_CACHE_GIB",
        )
    return limit * 2**30


def cached_files() -> dict[str, tuple[int, int]]:
    """Kind of content to the number of files and their size in bytes."""
    try:
        folder = cache_folder()
    except RuntimeError:
        return {}
    kinds = {
        "prepared pictures": folder.glob("pictures/*"),
        "texts read in pictures": folder.glob("image-text.sqlite*"),
    }
    found = {kind: [path.stat().st_size for path in paths if path.is_file()] for kind, paths in kinds.items()}
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items()}


def clear_caches() -> None:
    """Delete what is kept. Runs that are using it go on with what they have opened."""
    try:
        folder = cache_folder()
    except RuntimeError:
        return
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    for path in folder.glob("image-text.sqlite*"):
        path.unlink(missing_ok=True)


def say_not_kept(message: str) -> None:
    """Log, once, why something is not kept between runs; nothing where the user wants nothing to be kept."""
    if os.environ.get("JOINTUNE_CACHE") != OFF:
        _warn_once(message)


@functools.cache
def _warn_once(message: str) -> None:
    logging.getLogger("jointune").warning(message)
