"""Giving memory back to the system."""

import ctypes
import ctypes.util
import functools
import sys
from collections.abc import Callable


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(ctypes.util.find_library("c")).malloc_trim
    except (AttributeError, OSError):  # another C library than glibc
        return None
    return trim


def trim_heap() -> None:
    """Return the allocator's free pages to the system, where it is glibc's.

    Batches of ever new lengths leave holes that glibc keeps: without this, a training run of a few hundred steps on CPU
    holds twice the memory that it uses.
    """
    trim = _malloc_trim()
    if trim:
        trim(0)
