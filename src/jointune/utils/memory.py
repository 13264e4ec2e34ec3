"""Measure the memory of the process, and steer how glibc's allocator keeps it."""

import ctypes
import ctypes.util
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
"""Numbers of glibc's parameters, from malloc.h."""

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
    """Return the free pages of glibc's allocator to the system.

    Batches of many lengths leave holes: without this, a training of a few hundred steps on CPU holds twice the memory
    that it uses.
    """
    trim = _of_glibc("malloc_trim")
    if trim:
        trim(0)


def return_large_blocks() -> None:
    """Have glibc return freed blocks of at least 1 MiB to the system at once, for the rest of the process.

    It would otherwise keep those of up to 32 MiB: a service that now and then received a large picture held 190 MB more
    after 40,000 requests than after the first.
    """
    global _separate_from
    _separate_from = 1 << 20
    set_parameter = _of_glibc("mallopt")
    if set_parameter:
        set_parameter(_M_MMAP_THRESHOLD, _separate_from)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Have glibc keep freed memory inside the block; return the memory and reset the allocator at the end.

    The activations of a batch of pictures are blocks of many mebibytes. glibc returns them as soon as they are freed,
    and the system has to clear the pages again for the next batch: that took more than half of an image encoder's time.
    Parameters that the user set in the environment are left alone.
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


def peak_memory(process: int | None = None) -> int | None:
    """Return the peak of a process's main memory, in bytes; None if the system does not tell, or it has ended.

    Args:
        process: its number; by default, it is this one.
    """
    try:
        status = Path("/proc", str(process or "self"), "status").read_text()
    except OSError:
        status = ""
    # The peak of getrusage includes that of the parent process.
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    if process is not None:
        return None
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
