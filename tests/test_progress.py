"""Bars in logs: count, rate and time left."""

import pytest

from jointune import progress
from jointune.progress import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved: ``clock(60)``."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left(clock, capsys):
    with progress_bar("reading", "posts") as bar:
        bar.start(100)
        for _ in range(50):
            clock(1)
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading: 15/100 posts, 1.0/s, 85 s left"
    assert len(lines) == 3


def test_time_left_falls_while_a_long_step_is_under_way(clock, capsys):
    with progress_bar("comparing", "cells") as bar:
        bar.start(5)
        clock(480)
        bar.advance()
        clock(120)
        bar.note("training")
        clock(1000)
        bar.note("still training")
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 1/5 cells, 0.1/min, 1920 s left",
        "comparing: 1/5 cells, 0.1/min, 1800 s left; training",
        "comparing: 1/5 cells, 0.1/min, 800 s left; still training",
    ]


def test_what_an_earlier_run_did_does_not_count_for_the_rate(clock, capsys):
    with progress_bar("comparing", "cells") as bar:
        bar.start(10, done=8)
        clock(60)
        bar.note("training")
        clock(60)
        bar.advance()
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 8/10 cells; training",
        "comparing: 9/10 cells, 0.5/min, 120 s left; training",
    ]


def test_quiet_shows_nothing(capsys):
    with progress_bar("reading", shown=False) as bar:
        bar.start(2)
        bar.advance()
        bar.note("half")
        bar.line("a line")
    assert capsys.readouterr().err == ""


def test_a_note_on_a_terminal_may_hold_brackets(monkeypatch):
    """As in what other programs say, where they are no markup."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress_bar("comparing", "cells") as bar:
        bar.start(2)
        bar.note("UserWarning [/tmp/x] foo")
        bar.advance()
