"""A bound on what requests hold together while they are served, such as bytes or places in a queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Room:
    """Counts what is held. For the event loop's thread alone.

    Args:
        size: how much there is room for.
        full: makes the error for what does not fit.
    """

    def __init__(self, size: int, full: Callable[[], Exception]) -> None:
        self.size = size
        self.used = 0
        self._full = full

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that takes a further amount, or raises; all of it is given back at the end."""
        held = 0

        def take(amount: int) -> None:
            nonlocal held
            if self.used + amount > self.size:
                raise self._full()
            self.used += amount
            held += amount

        try:
            yield take
        finally:
            self.used -= held

    def check(self) -> None:
        """Raise if nothing more fits."""
        if self.used >= self.size:
            raise self._full()
