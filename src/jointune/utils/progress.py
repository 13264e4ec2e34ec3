"""Progress bars with rate and time left on a terminal, plain lines elsewhere, nothing if quiet."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jointune.utils.wording import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

_time_left_shown = True


def show_no_time_left() -> None:
    """Leave rate and time left to the parent process, from now on: it shows what this one prints beside its own bar."""
    global _time_left_shown
    _time_left_shown = False


def spoken(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class Bar:
    """The progress of one piece of work.

    Rate and time left are our own: rich forgets the rate after half a minute, and its time left stands still during a
    step, while a cell of a comparison takes minutes.

    Args:
        title: the work, in a word or two.
        unit: of what is counted, in the plural.
        clock: a function that returns seconds.
    """

    def __init__(self, title: str = "", unit: str = "posts", clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self._unit, self._clock, self._note = title, unit, clock, ""
        self.start(0)

    def start(self, total: int, done: int = 0) -> None:
        """Begin to count ``total`` steps, of which an earlier run did ``done``."""
        self.total, self.done, self._earlier = total, done, done
        self._began = self._advanced = self._clock()
        self._left: float | None = None
        self._show()

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` more as done."""
        self.done += steps
        self._advanced = self._clock()
        self._show()

    def expect(self, seconds: float) -> None:
        """Take ``seconds`` as the time left, in place of an estimate by the mean duration of a step."""
        self._left = seconds

    def note(self, text: str) -> None:
        """Show ``text`` with the bar, such as the loss."""
        self._note = text
        self._show()

    def line(self, text: str) -> None:
        """Print a line that stays."""

    def _show(self) -> None:
        pass

    def __str__(self) -> str:
        """Return count, rate and time left."""
        words = [f"{self.done:,}/{self.total:,} {self._unit}" if self.total else f"{self.done:,} {self._unit}"]
        if (done := self.done - self._earlier) and _time_left_shown:
            # The step that is under way does not slow down the rate of those before it.
            seconds = max(self._advanced - self._began, 1e-9) / done
            one = self._unit.removesuffix("s")
            words.append(f"{1 / seconds:,.1f} {self._unit}/s" if seconds <= 1 else f"{spoken(seconds)} a {one}")
            if self.total:
                left = (self.total - self.done) * seconds if self._left is None else self._left
                words.append(f"{spoken(max(left - (self._clock() - self._advanced), 0.0))} left")
        return " · ".join(words)


class QuietBar(Bar):
    """Shows nothing."""


class LineBar(Bar):
    """Prints a line now and then, for logs: the first after 15 seconds; during a step, every minute."""

    _seconds = 15.0

    def start(self, total: int, done: int = 0) -> None:
        """See ``Bar.start``."""
        self._printed = self._clock()
        super().start(total, done)

    def advance(self, steps: int = 1) -> None:
        """See ``Bar.advance``."""
        super().advance(steps)
        self._print_after(self._seconds)

    def note(self, text: str) -> None:
        """See ``Bar.note``."""
        super().note(text)
        if text:
            self._print_after(4 * self._seconds)

    def _print_after(self, seconds: float) -> None:
        now = self._clock()
        if now - self._printed >= seconds:
            self._printed = now
            self.line(f"{self.title}: {self}" + (f"; {self._note}" if self._note else ""))

    def line(self, text: str) -> None:
        """See ``Bar.line``."""
        print(visible_lines(text), file=sys.stderr, flush=True)  # noqa: T201


class TerminalBar(Bar):
    """A bar drawn by rich. Notes stand on a line of their own, so that neither is cut to make room for the other."""

    def __init__(self, title: str, unit: str = "posts", clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.text import Text

        note = self._note_text = Text(no_wrap=True, overflow="ellipsis", style="dim")

        class NotedProgress(Progress):
            def get_renderables(self) -> "Iterator[RenderableType]":
                yield from super().get_renderables()
                if note:
                    yield note

        # The last column is this bar as text, made anew whenever it is drawn.
        text, pace = (TextColumn(field, markup=False) for field in ("{task.description}", "{task.fields[bar]}"))
        self.progress = NotedProgress(text, BarColumn(bar_width=20), pace, console=Console(stderr=True))
        self._task = self.progress.add_task(visible(title), total=None, bar=self)
        super().__init__(title, unit, clock)

    def _show(self) -> None:
        self.progress.update(self._task, total=self.total or None, completed=self.done)
        self._note_text.plain = visible(self._note)

    def line(self, text: str) -> None:
        """See ``Bar.line``."""
        self.progress.console.print(visible_lines(text), highlight=False, markup=False)


@contextmanager
def progress_bar(
    title: str, unit: str = "posts", shown: bool = True, clock: Callable[[], float] = time.monotonic
) -> Iterator[Bar]:
    """Show the progress of one piece of work on standard error; see ``Bar`` for the arguments."""
    if not shown:
        yield QuietBar()
    elif sys.stderr.isatty():
        bar = TerminalBar(title, unit, clock)
        with bar.progress:
            yield bar
    else:
        yield LineBar(title, unit, clock)
