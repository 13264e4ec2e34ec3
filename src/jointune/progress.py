"""Bars with rate and time left on a terminal, plain lines elsewhere, nothing when asked for quiet."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """The progress of one piece of work."""

    def start(self, total: int, done: int = 0) -> None:
        """Say how many steps there are, and how many of them an earlier run did."""

    def advance(self, steps: int = 1) -> None:
        """Say that ``steps`` more are done."""

    def note(self, text: str) -> None:
        """Show ``text`` beside the bar, such as the loss."""

    def line(self, text: str) -> None:
        """Print a line that stays."""


class QuietBar:
    """Shows nothing."""

    def start(self, total: int, done: int = 0) -> None:
        """See ``Bar``."""

    def advance(self, steps: int = 1) -> None:
        """See ``Bar``."""

    def note(self, text: str) -> None:
        """See ``Bar``."""

    def line(self, text: str) -> None:
        """See ``Bar``."""


class LineBar:
    """For logs: a line now and then, with count, rate and time left."""

    def __init__(self, what: str, unit: str, every_seconds: float = 15.0) -> None:
        self._what, self._unit, self._every = what, unit, every_seconds
        self._total = self._done = self._earlier = 0
        self._note = ""
        self._began = self._said = self._advanced = time.monotonic()

    def start(self, total: int, done: int = 0) -> None:
        """See ``Bar``."""
        self._total, self._done, self._earlier = total, done, done
        self._began = self._said = self._advanced = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        """See ``Bar``."""
        self._done += steps
        self._advanced = time.monotonic()
        self._say_after(self._every)

    def note(self, text: str) -> None:
        """See ``Bar``."""
        self._note = text
        self._say_after(4 * self._every)  # a step may take long

    def _say_after(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._said < seconds:
            return
        self._said = now
        parts = [f"{self._what}: {self._done}/{self._total or '?'} {self._unit}"]
        if done := self._done - self._earlier:
            # Until the last step that ended: the one that is under way has not slowed down what came before.
            rate = done / max(self._advanced - self._began, 1e-9)
            parts.append(f"{rate:.1f}/s" if rate >= 0.1 else f"{60 * rate:.1f}/min")
            if self._total:
                left = (self._total - self._done) / rate - (now - self._advanced)
                parts.append(f"{max(left, 0):.0f} s left")
        self.line(", ".join(parts) + (f"; {self._note}" if self._note else ""))

    def line(self, text: str) -> None:
        """See ``Bar``."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201


_RATE_OVER = 3600.0
"""Seconds of which the rate is the mean: a step of some kinds of work takes minutes."""


class TerminalBar:
    """A bar drawn by rich."""

    def __init__(self, what: str, unit: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),  # may be what another program says
            console=Console(stderr=True),
            speed_estimate_period=_RATE_OVER,
        )
        self._unit = unit
        self._task = self.progress.add_task(what, total=None, rate="", note="")

    def start(self, total: int, done: int = 0) -> None:
        """See ``Bar``."""
        self.progress.update(self._task, total=total, completed=done)

    def advance(self, steps: int = 1) -> None:
        """See ``Bar``."""
        self.progress.advance(self._task, steps)
        speed = self.progress.tasks[0].speed
        self.progress.update(self._task, rate=f"{speed:.1f} {self._unit}/s" if speed else "")

    def note(self, text: str) -> None:
        """See ``Bar``."""
        self.progress.update(self._task, note=text)

    def line(self, text: str) -> None:
        """See ``Bar``."""
        self.progress.console.print(text, highlight=False, markup=False)


@contextmanager
def progress_bar(what: str, unit: str = "posts", shown: bool = True) -> Iterator[Bar]:
    """A bar for one piece of work, on standard error.

    Args:
        what: the work, in a word or two.
        unit: what is counted.
        shown: whether to show anything.
    """
    if not shown:
        yield QuietBar()
    elif sys.stderr.isatty():
        bar = TerminalBar(what, unit)
        with bar.progress:
            yield bar
    else:
        yield LineBar(what, unit)
