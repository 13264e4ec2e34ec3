"""How many cores this process may use, and how its threads wait for one another."""

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use."""

WAITING = {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "1"}
"""How long a thread spins at a barrier before it sleeps: rounds for GNU's OpenMP, milliseconds for LLVM's and Intel's.

By default it is about 300,000 rounds and 200 ms. Where other programs compute too, threads that spin take the cores
from those they wait for: training then takes several times as long. Sleeping at once costs a quarter on quiet cores.
``benchmarks/waiting.py`` measures both.
"""


def available_cores() -> int:
    """How many cores this process may use: at least 1, and no more than a container's quota allows.

    A quota of 2 cores on a machine of 64 leaves all 64 in sight. Threads for each of them would spend the quota waiting
    for one another.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = _quota()
    return seen if allowed is None else max(1, min(seen, round(allowed)))


def set_up_threads() -> None:
    """Choose how many threads OpenMP uses and how long they wait busily, unless the user's environment says so.

    It uses ``available_cores``, where these are fewer than it sees, and ``WAITING``. For this process and those that it
    starts. Call it before torch and NumPy are imported: OpenMP reads the environment then. Only the command line does,
    since a library must leave the environment of its process alone.
    """
    if available_cores() < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
    if os.environ.keys().isdisjoint({"OMP_WAIT_POLICY", *WAITING}):
        os.environ.update(WAITING)


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


T = TypeVar("T")


def prefetch(items: Iterable[T], ahead: int = 2, closed: threading.Event | None = None) -> Iterator[T]:
    """The same items, made by a thread while the consumer is busy.

    Args:
        items: what to go through; an error in it is raised where the items are consumed.
        ahead: how many are made before they are asked for.
        closed: set when the consumer stops early, so that an item that takes long need not be finished.
    """
    made: queue.Queue[T | BaseException | None] = queue.Queue(ahead)
    closed = closed or threading.Event()

    def put(item: T | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                made.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None)
        except BaseException as error:  # handed to the consumer, which raises it
            put(error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()
