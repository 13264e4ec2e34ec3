"""Names and texts that were made to be obeyed by a terminal."""

import json
import os
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import write_rows
from jointune.utils.progress import LineBar, TerminalBar
from jointune.utils.wording import listed, visible

pytestmark = pytest.mark.attack

EVIL = "e\x1b[2Jv\x1b]52;c;cm0=\x07i\x1b]8;;http://a\x1b\\l\r\x08\x9b31m\u202etxt\u2066\u200f[red][link=http://b]:boom:"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@given(st.text())
@example(EVIL)
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = visible(text)
    assert not OBEYED.search(shown)
    assert "\n" not in shown
    assert visible(shown) == shown
    shown.encode()


@pytest.mark.parametrize("text", ["Ünïcödé 日本語", "👩‍👩‍👧", "می‌خواهم", "a b"])
def test_texts_of_people_stay_as_they_are(text):
    assert visible(text) == text


def test_lists_of_names_are_short():
    assert listed(["a", "b\n"], 2) == "a, b\\n"
    assert len(listed(("x" * 10**6 for _ in range(10**6)), 10**6)) < 5000


@pytest.fixture
def evil_posts(tmp_path):
    """A table whose name, columns, labels, texts and paths are evil."""
    path = tmp_path / f"{EVIL.replace('/', '')}.jsonl"
    rows = [
        {
            "text": f"{EVIL} {n}",
            "label": f"{EVIL}\nerror: {n % 2}",
            EVIL: 1,
            "image": None,
            "part": "train" if n % 5 else EVIL,
        }
        for n in range(10)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "options",
    [
        ["--image-column", ""],
        ["--text-column", EVIL],
        ["--image-column", "text"],
        ["--image-column", "", "--split-column", "part"],
        ["--image-column", "", "--label-column", "text", "--validation", "0.5"],
        ["--encoding", EVIL],
        ["--image-column", "", "--text-encoder", EVIL],
    ],
)
def test_check_prints_nothing_that_is_obeyed(jointune, evil_posts, options):
    code, said = jointune("check", evil_posts, *options)
    assert code in (0, 1, 2)
    assert not OBEYED.search(said), ascii(said)
    assert "\nerror: 1" not in said


@pytest.mark.slow
def test_training_and_scoring_print_nothing_that_is_obeyed(jointune, tiny_settings, evil_posts, tmp_path):
    encoders = [f"--{side}-encoder={tiny_settings[f'{side}_encoder']}" for side in ("text", "image")]
    bundle, scored = tmp_path / "model", tmp_path / "scored.csv"
    said = ""
    for command in (
        ["train", evil_posts, "--out", bundle, *encoders, "--validation", "0.2", "--epochs", 1],
        ["evaluate", bundle, evil_posts],
        ["predict", bundle, evil_posts, "--out", scored],
        ["predict", bundle, evil_posts, "--out", scored],
        ["predict", bundle, scored, "--out", tmp_path / "again.csv"],
    ):
        more = jointune(*command)[1]
        said += more
        assert not OBEYED.search(more), (command, ascii(more))
    assert "\\x1b" in said
    assert "\nerror: 1" not in said


def test_an_address_of_its_own_is_not_obeyed(jointune, tmp_path):
    path = write_rows(tmp_path / "p.csv", [{"text": "a", "image": f"{EVIL}.png", "label": "x"}])
    _, said = jointune("check", path, "--all")
    assert not OBEYED.search(said), ascii(said)


def test_bars_print_nothing_that_is_obeyed(capsys):
    bar = TerminalBar(f"reading {EVIL}", "MB")
    with bar.progress:
        bar.note(EVIL)
        bar.line(EVIL)
    LineBar(EVIL, "posts").line(EVIL)
    shown = capsys.readouterr().err
    assert "\\x1b]52" in shown
    assert "[red][link=http://b]:boom:" in shown
    assert "\x1b]" not in shown
    assert not re.search("[\u202e\u2066\x9b]", shown)


def test_a_name_that_is_no_text(refused, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\x1b.csv"
    with open(path, "w") as file:
        file.write("a\nb\n")
    said = refused("check", os.fsdecode(path), code=1, says=["\\udcff\\x1b.csv"])
    assert not OBEYED.search(said)
