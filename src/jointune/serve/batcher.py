"""The model's thread, which scores whatever waits as one batch."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from jointune.inference.scored import Scored
from jointune.serve.limits import Limits
from jointune.serve.log import log_error
from jointune.serve.preparation import PreparedPost

_LAST_BATCH = 2.0  # seconds that the end of the service waits for the model


class _Job(NamedTuple):
    post: PreparedPost
    future: asyncio.Future[Scored]


class Batcher:
    """Scores posts that come one by one from the event loop in batches as large as the load makes them.

    Under no load, a post is scored at once and alone. While the model is busy others gather, and are the next batch.

    Args:
        score: scores posts; only called in the batcher's thread.
        limits: ``max_batch`` and ``max_wait``.
        on_batch: called in the batcher's thread with the size of each batch.
    """

    def __init__(
        self, score: Callable[[list[PreparedPost]], list[Scored]], limits: Limits, on_batch: Callable[[int], None]
    ) -> None:
        self._score, self._limits, self._on_batch = score, limits, on_batch
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread; call it in the event loop that scores."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Score what waits and end the thread; after two seconds it is left to the end of the process."""
        self._queue.put(None)
        self._thread.join(_LAST_BATCH)

    @property
    def alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    async def score(self, post: PreparedPost) -> Scored:
        """Score a post; cancelled before its batch starts, a call costs nothing."""
        job = _Job(post, self._loop.create_future())
        self._queue.put(job)
        return await job.future

    def _work(self) -> None:
        last = False
        while not last:
            jobs, last = self._next_batch()
            jobs = [job for job in jobs if not job.future.done()]  # the others' clients hung up or waited too long
            if not jobs:
                continue
            self._on_batch(len(jobs))
            try:
                outcome: list[Scored] | Exception = self._score([job.post for job in jobs])
            except Exception as error:  # a batch that fails must not end the thread
                log_error("batch failed", error, posts=len(jobs))
                outcome = error
            with suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(_deliver, jobs, outcome)

    def _next_batch(self) -> tuple[list[_Job], bool]:
        """Wait for the next batch; also return whether it is the last one."""
        jobs: list[_Job] = []
        job = self._queue.get()
        deadline = time.monotonic() + self._limits.max_wait
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._limits.max_batch:
                break
            try:
                job = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
        return jobs, job is None


def _deliver(jobs: list[_Job], outcome: list[Scored] | Exception) -> None:
    for number, job in enumerate(jobs):
        if job.future.done():
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome[number])
