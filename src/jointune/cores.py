"""How many cores this process may use."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use."""


def available_cores() -> int:
    """How many cores this process may use: at least 1, and no more than a container's quota allows.

    A quota of 2 cores on a machine of 64 leaves all 64 in sight. Threads for each of them would spend the quota waiting
    for one another.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = _quota()
    return seen if allowed is None else max(1, min(seen, round(allowed)))


def limit_threads() -> None:
    """Have OpenMP use ``available_cores``, where these are fewer than it sees and the user asked for no number.

    For this process and those that it starts. To be called before torch and NumPy are imported, which read it then.
    """
    if available_cores() < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))


def _quota() -> float | None:
    """Cores that the container's time amounts to; None without a limit, or where it cannot be told."""
    try:
        if (CGROUP / "cpu.max").exists():  # version 2
            time, period = (CGROUP / "cpu.max").read_text().split()
        else:
            time, period = ((CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(time) / float(period) if float(time) > 0 else None
    except (OSError, ValueError):  # "max" is no number
        return None
