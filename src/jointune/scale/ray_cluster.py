"""Connect to a Ray cluster, and run functions on it as tasks."""

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jointune.errors import JointuneError, SettingsError, first_line, setting
from jointune.utils.extras import check_installed, require
from jointune.utils.threads import set_up_threads

_CONNECT_SECONDS = 5.0

R = TypeVar("R")


class ClusterError(JointuneError):
    """A cluster that cannot be reached, or whose workers die."""


@dataclass(frozen=True)
class Workers:
    """The workers of a run.

    Attributes:
        least: number to begin with.
        most: number up to which more are added while work is waiting.
        cpus: cores of each.
        gpus: GPUs of each; 0.5 lets two share one.
    """

    least: int = 1
    most: int = 1
    cpus: float = 1
    gpus: float = 0

    @classmethod
    def parse(cls, number: str, cpus: float = 1, gpus: float = 0) -> "Workers":
        """Return the workers for ``MIN:MAX`` or a single number.

        Raises:
            SettingsError: it is neither, or there would be none.
        """
        match = re.fullmatch(r"([1-9]\d{0,5})(?::([1-9]\d{0,5}))?", number)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise SettingsError(
                f"{setting('workers', number)}: give a number of workers, or the least and the most, such as 2:8",
                setting="workers",
            )
        return cls(int(match[1]), int(match[2] or match[1]), cpus, gpus).checked()

    def checked(self) -> "Workers":
        """Return the workers, if there can be such ones; raise a ``SettingsError`` otherwise."""
        for name, value in (("cpus_per_worker", self.cpus), ("gpus_per_worker", self.gpus)):
            if not 0 <= value <= 1024 or (value > 1 and value % 1):
                raise SettingsError(f"{setting(name, value)}: give a share of one, or a whole number", setting=name)
        return self

    @property
    def resources(self) -> dict[str, float]:
        """The arguments of ``ray.remote`` for one worker."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}

    def room_in(self, ray: Any) -> int:
        """Return how many of them a cluster has room for at a time, and at least 1."""
        total = ray.cluster_resources()
        room = [total.get(name, 0) // each for name, each in (("CPU", self.cpus), ("GPU", self.gpus)) if each]
        return max(1, int(min(room, default=1)))

    def shortage_in(self, ray: Any) -> str:
        """Say what they take and what a cluster has."""
        total = ray.cluster_resources()
        have = ", ".join(f"{total.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        each = f"{self.cpus:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")
        return f"the workers wait for room: each takes {each}, and the cluster has {have} in all"


@dataclass(frozen=True)
class Surroundings:
    """Where a driver finds files and modules by relative names.

    Attributes:
        folder: its working folder.
        modules: its ``sys.path``.
    """

    folder: Path = field(default_factory=Path.cwd)
    modules: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))

    def take_over(self) -> None:
        """Have this process of a worker find them there too, if it has such folders, and use the threads it may."""
        set_up_threads()
        sys.path.extend(entry for entry in self.modules if entry not in sys.path)
        with suppress(OSError):
            os.chdir(self.folder)


@contextmanager
def ray_cluster(address: str, shown: bool = False) -> Iterator[Any]:
    """Connect to a Ray cluster for the duration of the block; yield the package ``ray``.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto`` on one of its machines.
        shown: whether to show what workers print.

    Raises:
        ClusterError: no cluster answers there.
        MissingExtraError: Ray is not installed.
    """
    check_cluster(address)
    ray = require("ray", "ray", "a Ray cluster")
    handlers = _handlers()
    try:
        ray.init(address=address, log_to_driver=shown, logging_level=logging.ERROR, configure_logging=False)
    except Exception as reason:  # Ray raises many kinds
        raise ClusterError(
            f"{setting('ray', address)}: not a Ray cluster that this machine can join: {first_line(reason)}",
            "run this on a machine of the cluster, with the Ray of the cluster",
            setting="ray",
        ) from reason
    finally:
        _restore(handlers)
    try:
        yield ray
    finally:
        ray.shutdown()


def check_cluster(address: str) -> None:
    """See that Ray is installed, and that something listens at the address, which Ray would try for a minute.

    Raises:
        ClusterError: nothing does.
        MissingExtraError: Ray is not installed.
    """
    check_installed("ray", "ray", "a Ray cluster")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as reason:
        raise ClusterError(
            f"{setting('ray', address)}: no Ray cluster answers there: {first_line(reason)}",
            "start one with `ray start`, or correct the address",
            setting="ray",
        ) from reason


def _handlers() -> dict[int, Any]:
    """Return the signal handlers that Ray replaces by its own; only the main thread may set them."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs tasks, as many at a time as it has room for.

    Attributes:
        ray: the package, connected.
        workers: the resources of each task.
    """

    ray: Any
    workers: Workers

    @property
    def room(self) -> int:
        """How many tasks run at a time."""
        return self.workers.room_in(self.ray)

    def task(self, function: Callable[..., R]) -> Callable[..., Any]:
        """Return what starts a function of a module as a task, and returns a reference to its result."""
        return partial(self.ray.remote(**self.workers.resources)(_run_task).remote, Surroundings(), function)

    def next_result(self, references: Iterable[Any]) -> tuple[Any, Callable[[], Any]]:
        """Wait for a task; return its reference, and what returns its result or raises its error."""
        (reference,), _ = self.ray.wait(list(references))

        def fetch() -> Any:
            from ray.exceptions import RayError, RayTaskError

            try:
                return self.ray.get(reference)
            except RayTaskError as error:
                raise error.cause from error
            except RayError as error:
                raise LostTaskError(first_line(error)) from error

        return reference, fetch


class LostTaskError(Exception):
    """The worker of a task died, and those that Ray gave it to after that."""


def _run_task(surroundings: Surroundings, function: Callable[..., R], *arguments: Any) -> R:
    surroundings.take_over()
    return function(*arguments)


@contextmanager
def connected(address: str | None, workers: Workers) -> Iterator[Cluster | None]:
    """Connect to a cluster for the duration of the block, if there is an address; see ``ray_cluster``."""
    if address is None:
        yield None
        return
    with ray_cluster(address) as ray:
        yield Cluster(ray, workers)
