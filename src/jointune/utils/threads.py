"""Count usable cores, set up OpenMP's threads, and prefetch in a thread."""

import logging
import os
import queue
import threading
from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import TypeVar

CGROUP = Path("/sys/fs/cgroup")
"""Folder with the limits of a Linux container."""

WAITING = {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "1"}
"""How long a thread spins at a barrier before it sleeps: rounds for GNU's OpenMP, milliseconds for LLVM's and Intel's.

The defaults are about 300,000 rounds and 200 ms. If other programs compute too, spinning threads take the cores from
those they wait for, and training takes several times as long. Sleeping at once costs a quarter on idle cores.
``benchmarks/waiting.py`` measures both.
"""


def available_cores(limits: Path = CGROUP, visible: int | None = None) -> int:
    """Return how many cores this process may use: at least 1, and at most a container's quota.

    A process with a quota of 2 cores still sees all 64 of its machine; 64 threads would spend the quota waiting.

    Args:
        limits: folder with the limits of the container.
        visible: number of cores that the process sees; by default it is asked from the system.
    """
    if visible is None:
        visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(limits)
    return visible if quota is None else max(1, min(visible, round(quota)))


def computing_threads() -> int:
    """Return how many threads should compute: what the user or a cluster's worker says to OpenMP, or one a core."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdecimal() and int(chosen) else available_cores()


def set_up_threads(environment: MutableMapping[str, str] = os.environ, cores: int | None = None) -> None:
    """Set the variables for the number of OpenMP's threads and how long they spin, unless the user set them.

    They stay set, for this process and its children. OpenMP reads them when torch and NumPy are imported. Only the
    command line calls this: a library leaves the environment alone.
    """
    cores = cores or available_cores()
    if cores < (os.cpu_count() or 1):
        environment.setdefault("OMP_NUM_THREADS", str(cores))
    if environment.keys().isdisjoint({"OMP_WAIT_POLICY", *WAITING}):
        environment.update(WAITING)


def _quota(limits: Path) -> float | None:
    """Return the container's quota in cores; None without a limit."""
    try:
        if (limits / "cpu.max").exists():  # version 2
            time, period = (limits / "cpu.max").read_text().split()
        else:
            time, period = ((limits / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(time) / float(period) if float(time) > 0 else None
    except (OSError, ValueError):  # "max" is no number
        return None


T = TypeVar("T")


def prefetch(items: Iterable[T], ahead: int = 2, closed: threading.Event | None = None) -> Iterator[T]:
    """Yield the items, made by a thread while the consumer is busy.

    Args:
        items: an error that they raise is raised in the consumer.
        ahead: how many are made in advance.
        closed: set when the consumer stops early, so that an item that takes long can be given up.
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
        except BaseException as error:
            logging.getLogger(__name__).debug("the consumer raises what ended the thread", exc_info=True)
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
