"""Run the service: in one process, or in several that share a socket."""

import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple

from jointune.errors import JointuneError, first_line
from jointune.inference.predictor import Predictor
from jointune.serve.app import make_app
from jointune.serve.fetch import Fetcher
from jointune.serve.hosts import LOOPBACK
from jointune.serve.limits import Limits
from jointune.serve.listen import address_of, exit_on_signals, run_server
from jointune.serve.log import log_event, log_to_stdout
from jointune.serve.service_metrics import CELLS, ServiceMetrics
from jointune.utils.memory import return_large_blocks

_UNUSABLE = 2  # exit code of a process that cannot serve
_STEADY = 60.0  # seconds that a worker has run after which its end counts as a single mishap
_MAX_PAUSE = 16.0  # seconds between a worker's end and the next one's start, at most
_AFTER_GRACE = 4  # seconds from the last answer of a worker to its end, by when its model and its threads have finished


@dataclass(frozen=True)
class Serving:
    """The configuration of each process of the service, as in ``make_app``; can be pickled.

    ``load`` loads the model; ``allow_urls`` has ``image_url`` fetched.
    """

    load: Callable[[], Predictor]
    limits: Limits
    token: str | None = None
    allow_urls: bool = False
    hosts: Set[str] = LOOPBACK


def serve(serving: Serving, listener: socket.socket, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what was accepted.

    Signal handlers and loggers are as before when it ends; see ``exit_on_signals`` and ``log_to_stdout``.

    Args:
        serving: what to serve.
        listener: from ``jointune.serve.listen.bind``.
        workers: processes; each has a model of its own.

    Raises:
        JointuneError: the model cannot be loaded or does not answer, or a process ended before it was ready.
    """
    with exit_on_signals(), log_to_stdout():
        if workers == 1:
            _serve_here(serving, listener, ServiceMetrics(), _say_ready)
        else:
            _supervise(serving, listener, workers)


def _serve_here(
    serving: Serving, listener: socket.socket, metrics: ServiceMetrics, on_ready: Callable[[str, float], object]
) -> None:
    limits, start = serving.limits, time.perf_counter()
    return_large_blocks()
    predictor = serving.load()
    fetch = Fetcher(limits.image_bytes) if serving.allow_urls else None
    app = make_app(predictor, limits, metrics, serving.token, fetch, serving.hosts)

    def announce(host: str, port: int) -> None:
        seconds = time.perf_counter() - start
        log_event("ready", host=host, port=port, seconds=round(seconds, 2))
        on_ready(address_of(host, port), seconds)

    try:
        run_server(
            app,
            listener,
            announce,
            limits.body_seconds,
            limits.connections,
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_keep_alive=int(limits.body_seconds) or 1,
            timeout_graceful_shutdown=limits.grace,
        )
    except SystemExit:  # also how uvicorn ends if the application did not start
        failure = app.state.failure
        if failure is None:
            raise
        why = str(failure) if isinstance(failure, JointuneError) else f"{type(failure).__name__}: {first_line(failure)}"
        raise JointuneError(f"the model was loaded and does not answer: {why}") from failure


def _say_ready(address: str, seconds: float) -> None:
    sys.stderr.write(f"ready after {seconds:.1f} s: open {address} in a browser; Ctrl-C ends it\n")


def _supervise(serving: Serving, listener: socket.socket, workers: int) -> None:
    """Run workers, and replace those that end."""
    # Not forked: a copy of a process whose libraries have started threads may hang.
    context = multiprocessing.get_context("spawn")
    counts = [context.RawArray("d", CELLS) for _ in range(workers)]

    def start(number: int) -> Worker:
        ready = context.Event()
        arguments = (serving, listener, counts, number, ready)
        process = context.Process(target=_work, args=arguments, name=f"worker {number}")
        process.start()
        return Worker(process, ready)

    places = [WorkerPlace(number, start, time.monotonic()) for number in range(workers)]
    try:
        while True:
            time.sleep(0.2)
            for place in places:
                place.tend(time.monotonic())
    finally:
        # As long as one process holds the socket, clients are connected to it and then never served.
        listener.close()
        processes = [place.worker.process for place in places]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + serving.limits.grace + _AFTER_GRACE
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()


class Worker(NamedTuple):
    """A process, and whether it has been ready."""

    process: BaseProcess
    ready: Event


class WorkerPlace:
    """A worker and its successors: the next one starts at once, then later and later while they keep ending.

    Args:
        number: of the place.
        start: starts a worker.
        now: seconds of any clock that only goes forward.
    """

    def __init__(self, number: int, start: Callable[[int], Worker], now: float) -> None:
        self._number, self._start, self._pause = number, start, 0.0
        self._fill(now)

    def _fill(self, now: float) -> None:
        self.worker = self._start(self._number)
        self._started, self._restart = now, math.inf

    def tend(self, now: float) -> None:
        """Start the next worker if it is time.

        Raises:
            JointuneError: the worker ended before it was ready, and so would the next one.
        """
        if now >= self._restart:
            self._fill(now)
        elif self._restart == math.inf and not self.worker.process.is_alive():
            if now - self._started >= _STEADY:
                self._pause = 0.0
            code = self.worker.process.exitcode
            log_event("worker ended", worker=self._number, exit_code=code, next_in_seconds=self._pause)
            if not self.worker.ready.is_set():
                message = "its message is above" if code == _UNUSABLE else f"its exit code is {code}"
                raise JointuneError(f"a worker could not start; {message}")
            self._restart = now + self._pause
            self._pause = min(max(1.0, 2 * self._pause), _MAX_PAUSE)


def _work(serving: Serving, listener: socket.socket, counts: Sequence[Any], number: int, ready: Event) -> None:
    """Serve as one of several processes."""
    _take_cores(number, len(counts))
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def on_ready(address: str, seconds: float) -> None:
        ready.set()
        if number == 0:
            _say_ready(address, seconds)

    with exit_on_signals(), log_to_stdout():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one tells the others
        try:
            _serve_here(serving, listener, ServiceMetrics(counts, number), on_ready)
        except JointuneError as error:
            sys.stderr.write(f"error: {error}\n")
            sys.exit(_UNUSABLE)


def _take_cores(number: int, workers: int) -> None:
    """Keep to this worker's share of the cores: models that compute on all of them at a time slow each other down."""
    if sys.platform == "linux":
        share = sorted(os.sched_getaffinity(0))[number::workers]
        if share:
            os.sched_setaffinity(0, share)


def _end_with_parent() -> None:
    """End this worker when the first process has ended, however it did: nobody else would, and it holds the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
