"""What the service counts, in Prometheus' text format.

All series are known beforehand, so that they are the cells of one array, and the arrays of several worker processes,
which share them, add up to the whole service's whichever worker is asked.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

_ROUTES = ("/predict", "other")
_STATUSES = (200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 499, 500, 503)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POSTS = (1, 2, 4, 8, 16, 32, 64, 128)

_OUTCOMES = list(product(_ROUTES, _STATUSES))
_LATENCY = len(_OUTCOMES)
_BATCHES = _LATENCY + len(_SECONDS) + 2
_WAITING = _BATCHES + len(_POSTS) + 2

CELLS = _WAITING + 1
"""Numbers that a process counts."""


class Metrics:
    """The counts of one process, and a view on those of all.

    Args:
        processes: for each process ``CELLS`` numbers, zero at first.
        own: which of them this process writes.
    """

    def __init__(self, processes: Sequence[Any] | None = None, own: int = 0) -> None:
        self._processes = processes or [[0.0] * CELLS]
        # Each cell is written by one thread: no addition is lost without a lock.
        self._cells = self._processes[own]

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer; the time only where posts were scored or refused."""
        outcome = (route if route in _ROUTES else "other", status if status in _STATUSES else 500)
        self._cells[_OUTCOMES.index(outcome)] += 1
        if outcome[0] == "/predict":
            self._observe(_LATENCY, _SECONDS, seconds)

    def batch(self, posts: int) -> None:
        """Count a batch."""
        self._observe(_BATCHES, _POSTS, posts)

    def waiting(self, posts: int) -> None:
        """Note how many posts were taken and are not answered."""
        self._cells[_WAITING] = posts

    def _observe(self, start: int, bounds: Sequence[float], value: float) -> None:
        self._cells[start + bisect_left(bounds, value)] += 1
        self._cells[start + len(bounds) + 1] += value

    def text(self) -> str:
        """The exposition."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        total = [sum(cells) for cells in zip(*(list(one) for one in self._processes), strict=True)]
        yield from _head(
            "jointune_requests_total", "counter", "Requests by route and status; 499 is a client that left."
        )
        for (route, status), count in zip(_OUTCOMES, total, strict=False):
            yield f'jointune_requests_total{{route="{route}",status="{status}"}} {count:.0f}'
        name = "jointune_request_seconds"
        yield from _head(name, "histogram", "Time from a request to /predict to its answer.")
        yield from _histogram(name, _SECONDS, total[_LATENCY:_BATCHES])
        name = "jointune_batch_posts"
        yield from _head(name, "histogram", "Posts that the model was given at once.")
        yield from _histogram(name, _POSTS, total[_BATCHES:_WAITING])
        yield from _head("jointune_waiting_posts", "gauge", "Posts taken and not answered yet.")
        yield f"jointune_waiting_posts {total[_WAITING]:.0f}"


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield from (f"# HELP {name} {what}", f"# TYPE {name} {kind}")


def _histogram(name: str, bounds: Sequence[float], cells: Sequence[float]) -> Iterator[str]:
    count = 0.0
    for bound, cell in zip((*bounds, "+Inf"), cells, strict=False):
        count += cell
        yield f'{name}_bucket{{le="{bound}"}} {count:.0f}'
    yield f"{name}_sum {cells[-1]:.6f}"
    yield f"{name}_count {count:.0f}"
