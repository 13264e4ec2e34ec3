"""Bars in logs: count, rate and time left."""

import io
import re
import subprocess
import sys
from contextlib import redirect_stderr

import pytest

from jointune.utils.progress import progress_bar


class Clock:
    """A clock that stands still unless it is moved: ``clock.move(60)``."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def move(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left(clock, capsys):
    with progress_bar("reading", "posts", clock=clock) as bar:
        bar.start(100)
        for _ in range(50):
            clock.move(1)
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading: 15/100 posts · 1.0 posts/s · 85 s left"
    assert len(lines) == 3


def test_time_left_falls_while_a_long_step_is_under_way(clock, capsys):
    with progress_bar("comparing", "cells", clock=clock) as bar:
        bar.start(5)
        clock.move(480)
        bar.advance()
        clock.move(120)
        bar.note("training")
        clock.move(1000)
        bar.note("still training")
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 1/5 cells · 8 min a cell · 32 min left",
        "comparing: 1/5 cells · 8 min a cell · 30 min left; training",
        "comparing: 1/5 cells · 8 min a cell · 13 min left; still training",
    ]


def test_what_an_earlier_run_did_does_not_count_for_the_rate(clock, capsys):
    with progress_bar("comparing", "cells", clock=clock) as bar:
        bar.start(10, done=8)
        clock.move(60)
        bar.note("training")
        clock.move(60)
        bar.advance()
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 8/10 cells; training",
        "comparing: 9/10 cells · 2 min a cell · 2 min left; training",
    ]


def test_what_is_known_better_than_the_mean_is_the_time_left(clock, capsys):
    with progress_bar("comparing", "cells", clock=clock) as bar:
        bar.start(3)
        clock.move(42)
        bar.expect(600)
        bar.advance()
        clock.move(60)
        bar.note("training")
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 1/3 cells · 42 s a cell · 10 min left",
        "comparing: 1/3 cells · 42 s a cell · 9 min left; training",
    ]


def test_beside_the_bar_of_another_process_there_is_no_second_time_left():
    script = """
from jointune.utils.progress import progress_bar, show_no_time_left
times = iter(range(0, 1000, 42))
show_no_time_left()
with progress_bar("training", "steps", clock=lambda: next(times)) as bar:
    bar.start(3)
    bar.advance()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "training: 1/3 steps\n"


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_one_rate_and_one_time_left_whole(clock, monkeypatch, columns):
    written = Terminal()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with redirect_stderr(written), progress_bar("comparing", "cells", clock=clock) as bar:
        bar.start(12)
        clock.move(126)
        bar.advance(3)
        bar.expect(360)
        bar.note("joint, 16 training posts a label, fold 0, seed 0: " + "epoch 1.0  loss 0.3 " * 10)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue()).replace("\r", "\n").splitlines()
    assert max(map(len, shown)) <= columns
    bars = [line for line in shown if "3/12" in line]
    assert bars
    assert all(line.rstrip().endswith("3/12 cells · 42 s a cell · 6 min left") for line in bars)
    assert any(line.rstrip().endswith("…") for line in shown), "a long note is cut, not the bar"


def test_quiet_shows_nothing(capsys):
    with progress_bar("reading", shown=False) as bar:
        bar.start(2)
        bar.advance()
        bar.note("half")
        bar.line("a line")
    assert capsys.readouterr().err == ""


def test_a_note_on_a_terminal_may_hold_brackets():
    """As in what other programs say, where they are no markup."""
    with redirect_stderr(Terminal()) as written, progress_bar("comparing", "cells") as bar:
        bar.start(2)
        bar.note("UserWarning [/tmp/x] foo")
        bar.advance()
    assert "UserWarning [/tmp/x] foo" in written.getvalue()
