"""Prometheus metrics of the service, over all its processes.

All series are known beforehand, so each process counts in an array in shared memory, and a collector adds the arrays up
whichever process is asked. The multi-process mode of prometheus_client would need a folder on the disk, named by an
environment variable when it is imported.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

_ROUTES = ("/predict", "other")
_STATUSES = (200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 499, 500, 503)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POSTS = (1, 2, 4, 8, 16, 32, 64, 128)

_REQUESTS = list(product(_ROUTES, _STATUSES))
_LATENCY = len(_REQUESTS)
_BATCHES = _LATENCY + len(_SECONDS) + 2
_WAITING = _BATCHES + len(_POSTS) + 2

CELLS = _WAITING + 1  # numbers that a process counts


class ServiceMetrics(Collector):
    """The counts of one process, and the totals of all.

    Args:
        processes: ``CELLS`` numbers for each process, zero at first.
        own: index of this process.
    """

    def __init__(self, processes: Sequence[Any] | None = None, own: int = 0) -> None:
        self._processes = processes or [[0.0] * CELLS]
        self._cells = self._processes[own]  # each cell is written by one thread, so no lock is needed
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer, and its time if it is one of /predict."""
        outcome = (route if route in _ROUTES else "other", status if status in _STATUSES else 500)
        self._cells[_REQUESTS.index(outcome)] += 1
        if outcome[0] == "/predict":
            self._observe(_LATENCY, _SECONDS, seconds)

    def count_batch(self, posts: int) -> None:
        """Count a batch by its size."""
        self._observe(_BATCHES, _POSTS, posts)

    def set_waiting(self, posts: int) -> None:
        """Note how many posts are accepted and not answered yet."""
        self._cells[_WAITING] = posts

    def _observe(self, start: int, bounds: Sequence[float], value: float) -> None:
        self._cells[start + bisect_left(bounds, value)] += 1
        self._cells[start + len(bounds) + 1] += value

    def collect(self) -> Iterator[Any]:
        """Yield the metrics of all processes, as a collector of prometheus_client does."""
        total = [sum(cells) for cells in zip(*(list(one) for one in self._processes), strict=True)]
        requests = CounterMetricFamily(
            "jointune_requests", "Requests by route and status; 499 is a client that left.", labels=("route", "status")
        )
        for (route, status), count in zip(_REQUESTS, total, strict=False):
            requests.add_metric((route, str(status)), count)
        yield requests
        for name, help_text, bounds, start in (
            ("jointune_request_seconds", "Time from a request to /predict to its answer.", _SECONDS, _LATENCY),
            ("jointune_batch_posts", "Posts that the model scored at once.", _POSTS, _BATCHES),
        ):
            counts = accumulate(total[start : start + len(bounds) + 1])
            buckets = list(zip((*map(str, bounds), "+Inf"), counts, strict=True))
            yield HistogramMetricFamily(name, help_text, buckets, sum_value=total[start + len(bounds) + 1])
        yield GaugeMetricFamily("jointune_waiting_posts", "Posts accepted and not answered yet.", total[_WAITING])

    def text(self) -> str:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry).decode()
