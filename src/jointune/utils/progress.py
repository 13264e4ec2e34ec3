"""Bars with rate and time left on a terminal, plain lines elsewhere, nothing when asked for quiet."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from jointune.utils.wording import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import RenderableType


class Bar(Protocol):
    """The progress of one piece of work."""

    def start(self, total: int, done: int = 0) -> None:
        """Say how many steps there are, and how many of them an earlier run did."""

    def advance(self, steps: int = 1) -> None:
        """Say that ``steps`` more are done."""

    def expect(self, seconds: float) -> None:
        """Say how long the rest will take, where more is known than the mean duration of a step."""

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

    def expect(self, seconds: float) -> None:
        """See ``Bar``."""

    def note(self, text: str) -> None:
        """See ``Bar``."""

    def line(self, text: str) -> None:
        """See ``Bar``."""


class _Pace:
    """How many steps are done, how long one takes, and how long the rest will take."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self.total = self.done = self._earlier = 0
        self._began = self._advanced = time.monotonic()
        self._left: float | None = None

    def start(self, total: int, done: int) -> None:
        self.total, self.done, self._earlier = total, done, done
        self._began = self._advanced = time.monotonic()

    def advance(self, steps: int) -> None:
        self.done += steps
        self._advanced = time.monotonic()

    def expect(self, seconds: float) -> None:
        self._left = seconds

    def __str__(self) -> str:
        parts = [f"{self.done:,}/{self.total:,} {self._unit}" if self.total else f"{self.done:,} {self._unit}"]
        if (done := self.done - self._earlier) and not _without_time_left:
            # Until the last step that ended: the one that is under way has not slowed down what came before.
            seconds = max(self._advanced - self._began, 1e-9) / done
            one = self._unit.removesuffix("s")
            parts.append(f"{1 / seconds:,.1f} {self._unit}/s" if seconds <= 1 else f"{spoken(seconds)} a {one}")
            if self.total:
                left = (self.total - self.done) * seconds if self._left is None else self._left
                parts.append(f"{spoken(max(left - (time.monotonic() - self._advanced), 0.0))} left")
        return " · ".join(parts)


_without_time_left = False


def show_no_time_left() -> None:
    """Leave rate and time left to the process that shows what this one prints beside a bar of its own."""
    global _without_time_left
    _without_time_left = True


def spoken(seconds: float) -> str:
    """A duration as one says it."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class LineBar:
    """For logs: a line now and then, with count, rate and time left."""

    def __init__(self, what: str, unit: str, every_seconds: float = 15.0) -> None:
        self._what, self._every = what, every_seconds
        self._pace = _Pace(unit)
        self._note = ""
        self._said = time.monotonic()

    def start(self, total: int, done: int = 0) -> None:
        """See ``Bar``."""
        self._pace.start(total, done)
        self._said = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        """See ``Bar``."""
        self._pace.advance(steps)
        self._say_after(self._every)

    def expect(self, seconds: float) -> None:
        """See ``Bar``."""
        self._pace.expect(seconds)

    def note(self, text: str) -> None:
        """See ``Bar``."""
        self._note = text
        if text:
            self._say_after(4 * self._every)  # a step may take long

    def _say_after(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._said >= seconds:
            self._said = now
            self.line(f"{self._what}: {self._pace}" + (f"; {self._note}" if self._note else ""))

    def line(self, text: str) -> None:
        """See ``Bar``."""
        print(visible_lines(text), file=sys.stderr, flush=True)  # noqa: T201


class TerminalBar:
    """A bar drawn by rich; what is noted stands below it, so that neither is cut to make room for the other."""

    def __init__(self, what: str, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
        from rich.text import Text

        pace = self._pace = _Pace(unit)
        note = self._note = Text(no_wrap=True, overflow="ellipsis", style="dim")

        class PaceColumn(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(str(pace), no_wrap=True)

        class NotedProgress(Progress):
            def get_renderables(self) -> "Iterator[RenderableType]":
                yield from super().get_renderables()
                if note:
                    yield note

        columns = TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), PaceColumn()
        self.progress = NotedProgress(*columns, console=Console(stderr=True))
        self._task = self.progress.add_task(visible(what), total=None)

    def start(self, total: int, done: int = 0) -> None:
        """See ``Bar``."""
        self._pace.start(total, done)
        self.progress.update(self._task, total=total, completed=done)

    def advance(self, steps: int = 1) -> None:
        """See ``Bar``."""
        self._pace.advance(steps)
        self.progress.advance(self._task, steps)

    def expect(self, seconds: float) -> None:
        """See ``Bar``."""
        self._pace.expect(seconds)

    def note(self, text: str) -> None:
        """See ``Bar``."""
        self._note.plain = visible(text)

    def line(self, text: str) -> None:
        """See ``Bar``."""
        self.progress.console.print(visible_lines(text), highlight=False, markup=False)


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
