"""What the allocator does with freed memory, in processes of their own: its settings are those of a whole process."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or "LD_PRELOAD" in os.environ, reason="the allocator is not glibc's"
)

SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")

PAGES = (2 << 20) // os.sysconf("SC_PAGE_SIZE")
"""Of a block of 2 MiB. NumPy asks for huge pages from 4 MiB on, which may or may not be had."""

FAULTS = """
import resource
import numpy as np
from jointune.utils.memory import freed_memory_kept, return_large_blocks


def faults(mebibytes, times=20):
    '''How many pages the system cleared for blocks of that size, each freed before the next is made.'''
    def made():
        np.empty(mebibytes << 18, dtype=np.float32).fill(1)
    made()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        made()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // times


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20
"""


def run(code: str, **environment: str) -> list[int]:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS + code], env=kept | environment, capture_output=True, text=True, check=True
    )
    return [int(word) for word in done.stdout.split()]


def test_inside_the_pages_of_freed_blocks_are_used_again() -> None:
    within, after = run("with freed_memory_kept():\n    print(faults(48))\nprint(faults(48))")
    assert within < 10
    # Each page of the system is cleared anew: 48 MiB are 24 huge ones at the least.
    assert after >= 24
    assert after > within


def test_at_the_end_the_memory_is_returned() -> None:
    before, after = run(
        "before = resident()\n"
        "with freed_memory_kept():\n"
        "    blocks = [np.ones(48 << 17) for _ in range(8)]\n"
        "    del blocks\n"
        "    assert resident() > before + 300\n"
        "print(before, resident())"
    )
    assert after < before + 20


def test_what_a_service_asked_for_holds_afterwards() -> None:
    (after,) = run("return_large_blocks()\nwith freed_memory_kept():\n    pass\nprint(faults(2))")
    assert after >= PAGES // 2


def test_settings_in_the_environment_are_left_alone() -> None:
    (within,) = run("with freed_memory_kept():\n    print(faults(2))", MALLOC_MMAP_THRESHOLD_=str(1 << 20))
    assert within >= PAGES // 2
