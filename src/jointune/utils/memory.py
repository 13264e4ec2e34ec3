"""What a process holds of memory, and giving it back to the system."""

import ctypes
import ctypes.util
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
"""glibc's numbers of the parameters (malloc.h)."""

_GLIBC_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")

_separate_from = 32 << 20  # what glibc itself arrives at when large blocks are freed


@functools.cache
def _of_glibc(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(ctypes.util.find_library("c")), name)
    except (AttributeError, OSError):  # another C library than glibc
        return None
    return function


def trim_heap() -> None:
    """Return the allocator's free pages to the system, where it is glibc's.

    Batches of ever new lengths leave holes that glibc keeps: without this, a training run of a few hundred steps on CPU
    holds twice the memory that it uses.
    """
    trim = _of_glibc("malloc_trim")
    if trim:
        trim(0)


def return_large_blocks() -> None:
    """From now on, have blocks of a mebibyte and more go back to the system at once, where the allocator is glibc's.

    It would otherwise keep those of up to 32 MiB after the first one was freed: a service that is now and then given a
    large picture held 190 MB more after 40,000 requests than after the first.
    """
    global _separate_from
    _separate_from = 1 << 20
    set_parameter = _of_glibc("mallopt")
    if set_parameter:
        set_parameter(_M_MMAP_THRESHOLD, _separate_from)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside, memory that is freed stays with the process, where the allocator is glibc's; at the end it is returned.

    The states of a batch of pictures are blocks of many mebibytes. glibc gives them back to the system as soon as they
    are freed, which has to clear the same pages for the next batch: that took more than half of an image encoder's
    time. Whoever set the allocator's parameters in the environment keeps them.
    """
    set_parameter = None if _set_by_user() else _of_glibc("mallopt")
    if set_parameter:
        set_parameter(_M_MMAP_MAX, 0)
        set_parameter(_M_TRIM_THRESHOLD, -1)
        set_parameter(_M_TOP_PAD, 64 << 20)
    try:
        yield
    finally:
        if set_parameter:
            set_parameter(_M_MMAP_MAX, 1 << 16)
            set_parameter(_M_MMAP_THRESHOLD, _separate_from)
            set_parameter(_M_TRIM_THRESHOLD, 2 * _separate_from)
            set_parameter(_M_TOP_PAD, 1 << 17)
        trim_heap()


def _set_by_user() -> bool:
    return any(name in os.environ for name in _GLIBC_SETTINGS) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")


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
