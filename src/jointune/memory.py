"""What a process holds of memory, and giving it back to the system."""

import ctypes
import ctypes.util
import functools
import sys
from collections.abc import Callable
from pathlib import Path


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


def peak_memory() -> int | None:
    """The most main memory that this process has held at once, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage, whose peak begins with that of the process that started this one.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
