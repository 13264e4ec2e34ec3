"""Have actors of a Ray cluster do pieces of work; nothing is lost where one of them dies."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from jointune.errors import first_line
from jointune.scale.ray_cluster import ClusterError, Workers
from jointune.utils.wording import counted

_DEATHS = 3
"""Workers that may die of one piece of work before it is given up."""

_PATIENCE = 30.0
"""Seconds after which it is told that workers wait for room."""

T = TypeVar("T")
R = TypeVar("R")


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
