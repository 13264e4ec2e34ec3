"""Running the service: one process, or several that share a socket."""

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

import uvicorn

from jointune.errors import JointuneError, SettingsError, first_line, setting
from jointune.inference.predictor import Predictor
from jointune.serve.app import make_app
from jointune.serve.counters import CELLS, Metrics
from jointune.serve.fetch import Fetcher
from jointune.serve.hosts import LOOPBACK
from jointune.serve.http_protocol import patient_protocol
from jointune.serve.limits import Limits
from jointune.serve.log import log, start_log
from jointune.utils.memory import return_large_blocks

_UNUSABLE = 2
"""How a process ends that cannot serve."""

_STEADY = 60.0
"""Seconds that a worker has run after which its end is taken for a single mishap."""

_LONGEST_PAUSE = 16.0
"""Seconds between a worker's end and the next one's start, at most."""

_AFTER_GRACE = 4
"""Seconds from the last answer of a worker to its end, by when its model and its threads have finished."""


@dataclass(frozen=True)
class Serving:
    """What each process of the service is told; can be sent to another process.

    Attributes:
        load: loads the model.
        limits: what each process takes on.
        token: what clients must show; None where anybody may ask.
        allow_urls: whether ``image_url`` is fetched.
        hosts: the names under which it answers.
    """

    load: Callable[[], Predictor]
    limits: Limits
    token: str | None = None
    allow_urls: bool = False
    hosts: Set[str] = LOOPBACK


def bind(host: str, port: int) -> socket.socket:
    """A socket on an address. It takes connections when the first process is ready, and not before.

    Raises:
        SettingsError: the address is not one of this machine, or in use.
    """
    if not 0 <= port <= 65_535:  # the system would take the rest of a division
        raise SettingsError(f"{setting('port', port)}: choose one from 0 to 65535", setting="port")
    line = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # The protocol is named because asyncio turns off Nagle's algorithm, which costs 40 ms an answer, only then.
        line = socket.socket(family, kind, protocol)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        line.bind(address)
    except (OSError, UnicodeError) as reason:
        if line is not None:
            line.close()
        raise SettingsError(
            f"cannot listen on {host} port {port}: {reason}", f"choose another {setting('host')} or {setting('port')}"
        ) from reason
    return line


def address_of(host: str, port: int) -> str:
    """What to type into a browser."""
    if host in ("0.0.0.0", "::"):  # where to listen, not where to go
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(serving: Serving, line: socket.socket, workers: int = 1) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what was taken.

    Args:
        serving: what to serve.
        line: from ``bind``.
        workers: processes; each has a model of its own.

    Raises:
        JointuneError: the model cannot be loaded or does not answer, or a process ended before it was ready.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    start_log()
    if workers == 1:
        _serve_here(serving, line, Metrics(), _say)
    else:
        _supervise(serving, line, workers)


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _serve_here(serving: Serving, line: socket.socket, metrics: Metrics, ready: Callable[[str, float], object]) -> None:
    limits = serving.limits
    began = time.perf_counter()
    return_large_blocks()
    predictor = serving.load()
    fetch = Fetcher(limits.image_bytes) if serving.allow_urls else None
    app = make_app(predictor, limits, metrics, serving.token, fetch, serving.hosts)
    config = uvicorn.Config(
        app,
        http=patient_protocol(limits.body_seconds, limits.connections),
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.body_seconds) or 1,
        timeout_graceful_shutdown=limits.grace,
    )
    try:
        _Server(config, began, ready).run(sockets=[line])
    except SystemExit:  # how uvicorn ends where the application did not start
        failure = app.state.failure
        if failure is None:
            raise
        why = str(failure) if isinstance(failure, JointuneError) else f"{type(failure).__name__}: {first_line(failure)}"
        raise JointuneError(f"the model was loaded and does not answer: {why}") from failure


class _Server(uvicorn.Server):
    """Says when it is ready, and when it has finished."""

    def __init__(self, config: uvicorn.Config, began: float, ready: Callable[[str, float], object]) -> None:
        super().__init__(config)
        self._began, self._ready = began, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = (sockets or self.servers[0].sockets)[0].getsockname()[:2]
        seconds = time.perf_counter() - self._began
        log("ready", host=host, port=port, seconds=round(seconds, 2))
        self._ready(address_of(host, port), seconds)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        log("stopped")


def _say(address: str, seconds: float) -> None:
    sys.stderr.write(f"ready after {seconds:.1f} s: open {address} in a browser; Ctrl-C ends it\n")


def _work(serving: Serving, line: socket.socket, counts: Sequence[Any], number: int, ready: Event) -> None:
    _take_cores(number, len(counts))
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one tells the others
    start_log()
    threading.Thread(target=_follow, daemon=True).start()

    def tell(address: str, seconds: float) -> None:
        ready.set()
        if number == 0:
            _say(address, seconds)

    try:
        _serve_here(serving, line, Metrics(counts, number), tell)
    except JointuneError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(_UNUSABLE)


def _follow() -> None:
    """End this worker when the first process has ended, however it did: nobody else would, and it holds the port."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _take_cores(number: int, workers: int) -> None:
    """Keep to this worker's share of the cores: models that compute on all of them at a time slow each other down."""
    if sys.platform == "linux":
        share = sorted(os.sched_getaffinity(0))[number::workers]
        if share:
            os.sched_setaffinity(0, share)


class _Worker(NamedTuple):
    process: BaseProcess
    ready: Event


class _Place:
    """A worker and those that take its place: the next one at once, then later and later while they keep ending."""

    def __init__(self, number: int, start: Callable[[int], _Worker], now: float) -> None:
        self._number, self._start = number, start
        self._pause = 0.0
        self._fill(now)

    def _fill(self, now: float) -> None:
        self.process, self._ready = self._start(self._number)
        self._began, self._again = now, math.inf

    def tend(self, now: float) -> None:
        """Start the next one if it is time.

        Raises:
            JointuneError: the worker ended before it was ready, and so would the next one.
        """
        if now >= self._again:
            self._fill(now)
        elif self._again == math.inf and not self.process.is_alive():
            if now - self._began >= _STEADY:
                self._pause = 0.0
            code = self.process.exitcode
            log("worker ended", worker=self._number, exit_code=code, next_in_seconds=self._pause)
            if not self._ready.is_set():
                said = "its message is above" if code == _UNUSABLE else f"its exit code is {code}"
                raise JointuneError("a worker could not start", f"{said}")
            self._again = now + self._pause
            self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE)


def _supervise(serving: Serving, line: socket.socket, workers: int) -> None:
    # Not forked: a copy of a process whose libraries have started threads may hang.
    context = multiprocessing.get_context("spawn")
    counts = [context.RawArray("d", CELLS) for _ in range(workers)]

    def start(number: int) -> _Worker:
        ready = context.Event()
        process = context.Process(target=_work, args=(serving, line, counts, number, ready), name=f"worker {number}")
        process.start()
        return _Worker(process, ready)

    places = [_Place(number, start, time.monotonic()) for number in range(workers)]
    try:
        while True:
            time.sleep(0.2)
            for place in places:
                place.tend(time.monotonic())
    finally:
        # As long as one process holds the socket, clients are connected to it and then never served.
        line.close()
        processes = [place.process for place in places]
        for process in processes:
            process.terminate()
        until = time.monotonic() + serving.limits.grace + _AFTER_GRACE
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
