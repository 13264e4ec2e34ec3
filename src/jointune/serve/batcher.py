"""The model behind a queue: one thread that scores whatever waits, as one batch."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from jointune.inference.predictor import Predictor
from jointune.modalities.batch import collate
from jointune.serve.limits import Limits
from jointune.serve.preparation import Prepared

_LAST_BATCH = 2.0
"""Seconds that the end of the service waits for the model."""


class _Waiting(NamedTuple):
    prepared: Prepared
    future: asyncio.Future[np.ndarray]


class Batcher:
    """Scores posts that come one by one from the event loop in batches as large as the load makes them.

    Under no load, a post is scored at once and alone. While the model is busy others gather, and are the next batch.

    Args:
        predictor: the model.
        limits: ``max_batch`` and ``max_wait``.
        told: called in the model's thread with the size of each batch.
    """

    def __init__(self, predictor: Predictor, limits: Limits, told: Callable[[int], None]) -> None:
        self._predictor, self._limits, self._told = predictor, limits, told
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Start the thread; to be called in the event loop that scores."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits and end the thread; a model that takes longer than seconds is left to the process's end."""
        self._queue.put(None)
        self._thread.join(_LAST_BATCH)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    async def score(self, prepared: Prepared) -> np.ndarray:
        """Probabilities of one post, float32 [C]. A call that is cancelled before its batch starts costs nothing."""
        future: asyncio.Future[np.ndarray] = self._loop.create_future()
        self._queue.put(_Waiting(prepared, future))
        return await future

    def _work(self) -> None:
        go_on = True
        while go_on:
            waiting, go_on = self._gather()
            # Not those whose client has hung up or waited too long.
            waiting = [one for one in waiting if not one.future.done()]
            if not waiting:
                continue
            self._told(len(waiting))
            try:
                rows: list[np.ndarray] | Exception = list(self._run([one.prepared for one in waiting]))
            except Exception as error:  # a batch that fails must not end the thread
                rows = error
            with suppress(RuntimeError):  # the event loop has been closed
                self._loop.call_soon_threadsafe(_deliver, waiting, rows)

    def _gather(self) -> tuple[list[_Waiting], bool]:
        """The next batch, and whether there will be further ones."""
        found: list[_Waiting] = []
        one = self._queue.get()
        until = time.monotonic() + self._limits.max_wait
        while one is not None:
            found.append(one)
            if len(found) == self._limits.max_batch:
                break
            try:
                one = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
        return found, one is not None

    def _run(self, posts: list[Prepared]) -> np.ndarray:
        preprocessors = self._predictor.preprocessors
        rows = {name: [one.rows[name] for one in posts] for name in preprocessors}
        batch = collate(range(len(posts)), rows, preprocessors)
        return self._predictor.probabilities([batch], len(posts))


def _deliver(waiting: list[_Waiting], rows: list[np.ndarray] | Exception) -> None:
    for number, one in enumerate(waiting):
        if one.future.done():
            continue
        if isinstance(rows, Exception):
            one.future.set_exception(rows)
        else:
            one.future.set_result(rows[number])
