"""Work done ahead by a thread."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], ahead: int = 2, closed: threading.Event | None = None) -> Iterator[T]:
    """The same items, made by a thread while the consumer is busy.

    Args:
        items: what to go through; an error in it is raised where the items are consumed.
        ahead: how many are made before they are asked for.
        closed: set when the consumer stops early, so that an item that takes long need not be finished.
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
        except BaseException as error:  # handed to the consumer, which raises it
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
