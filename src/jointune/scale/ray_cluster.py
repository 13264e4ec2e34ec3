"""Connect to a Ray cluster, and have its workers do pieces of work; nothing is lost where one of them dies."""

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from jointune.errors import JointuneError, SettingsError, first_line, setting
from jointune.utils.extras import check_installed, require
from jointune.utils.threads import set_up_threads
from jointune.utils.wording import counted

_CONNECT_SECONDS = 5.0

_DEATHS = 3
"""Workers that may die of one piece of work before it is given up."""

_PATIENCE = 30.0
"""Seconds after which it is told that workers wait for room."""

T = TypeVar("T")
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


class WorkerPool(Generic[T, R]):
    """Actors of a cluster that each do pieces of work; a dead one's pieces are given to another.

    Args:
        ray: the package, connected.
        make: makes an actor with the methods ``ready`` and ``work``; is called again where one died.
        workers: their number.
        ahead: pieces that a worker has at a time: while the model works on one, the next one can be read.
        told: is told now and then what workers wait for.
    """

    def __init__(
        self,
        ray: Any,
        make: Callable[[], Any],
        workers: Workers,
        ahead: int = 2,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._ray, self._make, self._workers, self._ahead, self._told = ray, make, workers, ahead, told
        self._starting: dict[Any, Any] = {}
        self._under_way: dict[Any, tuple[Any, T]] = {}
        self._ready: list[Any] = []
        self._deaths = Counter[str]()

    def results(self, pieces: Sequence[T]) -> Iterator[R]:
        """Yield the result of each piece, as soon as it is there. Close it before the connection.

        Raises:
            JointuneError: a piece raised it; no other result follows.
            ClusterError: workers died again and again.
        """
        waiting = deque(pieces)
        try:
            while waiting or self._under_way:
                self._staff(len(waiting))
                done, _ = self._ray.wait([*self._starting, *self._under_way], timeout=_PATIENCE)
                if not done and not self._ready:
                    self._told(self._workers.shortage_in(self._ray))
                for reference in done:
                    yield from self._finish(reference, waiting)
        finally:
            for actor in [*self._starting.values(), *self._ready]:
                self._ray.kill(actor)

    def _staff(self, waiting: int) -> None:
        """Start workers while there is work for them."""
        number = len(self._starting) + len(self._ready)
        wanted = self._workers.least if len(self._ready) < self._workers.least else self._workers.most
        for _ in range(min(wanted - number, waiting)):
            actor = self._make()
            self._starting[actor.ready.remote()] = actor

    def _finish(self, reference: Any, waiting: deque[T]) -> Iterator[R]:
        """Take what a worker gave: a result, an error, or its death; then give it more work."""
        from ray.exceptions import RayError, RayTaskError

        started = self._starting.pop(reference, None)
        actor = started or self._under_way[reference][0]
        try:
            result = self._ray.get(reference)
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:
            logging.getLogger(__name__).info("a worker died: %s", error)
            self._bury(actor, waiting, first_line(error))
            return
        if started:
            self._deaths[""] = 0
            self._ready.append(actor)
        else:
            del self._under_way[reference]
            yield result
        self._hand_out(actor, waiting)

    def _bury(self, actor: Any, waiting: deque[T], reason: str) -> None:
        """Forget a dead worker, and put back the work that it had."""
        self._ready = [other for other in self._ready if other is not actor]
        references = [reference for reference, (other, _) in self._under_way.items() if other is actor]
        lost = [self._under_way.pop(reference)[1] for reference in references]
        waiting.extendleft(reversed(lost))
        for name in map(str, lost) if lost else [""]:
            self._deaths[name] += 1
            if self._deaths[name] >= _DEATHS:
                what = f"the workers that were given {name} died" if name else "workers died while they started"
                raise ClusterError(
                    f"{what}, {counted(_DEATHS, 'time')}: {reason}",
                    "see Ray's log; give each worker more memory, or see that each machine has jointune",
                )

    def _hand_out(self, actor: Any, waiting: deque[T]) -> None:
        own = [piece for other, piece in self._under_way.values() if other is actor]
        while waiting and len(own) < self._most_for(own, waiting):
            own.append(waiting.popleft())
            self._under_way[actor.work.remote(own[-1])] = actor, own[-1]
        if not own:  # its machine is free for others
            self._ready = [other for other in self._ready if other is not actor]
            self._ray.kill(actor)

    def _most_for(self, own: Sequence[T], waiting: Sequence[T]) -> int:
        """Return how many pieces a worker may have at a time."""
        # What a worker died of is tried alone, and the last pieces are for whoever is idle first.
        suspected = any(self._deaths[str(piece)] for piece in [*own, waiting[0]])
        return 1 if suspected or len(waiting) <= len(self._ready) else self._ahead
