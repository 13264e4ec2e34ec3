"""CSV and TSV as people's programs write them: quoted, joined without quoting, with a line for Excel."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointune import PostsError, read_posts
from jointune.data.read import Columns, PostsFile
from jointune.errors import JointuneWarning
from jointune.output.writers import make_layout, open_writer

UNQUOTED = "read as a table without quoting"


def texts(path):
    return [post.text for post in read_posts(path)]


def joined(path, rows, separator="\t"):
    path.write_text(
        "".join(separator.join(row) + "\n" for row in [("text", "image", "label"), *rows]), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    "cells",
    [
        ['"Best day ever', 'he said "yes"', "plain", 'what a day"'],
        ['"Best" day', "plain"],
        ['"Best day ever', "plain"],
        ["plain", '"'],
        ['"to be', 'or not"', "plain", "simple", "easy", "clear"],
        ['""', '"a', "b"],
    ],
)
def test_a_table_joined_without_quoting_keeps_every_row(tmp_path, cells):
    path = joined(tmp_path / "posts.tsv", [(cell, "", f"label {number % 2}") for number, cell in enumerate(cells)])
    with pytest.warns(JointuneWarning, match=rf"posts\.tsv: {UNQUOTED}"):
        posts = read_posts(path)
    assert [post.text for post in posts] == cells
    assert posts.labels == [f"label {number % 2}" for number in range(len(cells))]
    assert PostsFile(path).count() == len(cells)


def test_cells_that_all_end_as_they_begin_are_quoted(tmp_path, recwarn):
    path = joined(tmp_path / "posts.tsv", [('"wow"', "", "x"), ('"said ""no"""', "", "y")])
    assert texts(path) == ["wow", 'said "no"']
    assert not [warning for warning in recwarn if warning.category is JointuneWarning]


TABLES = [f"a\tb\n{number}" for number in range(3)]


@pytest.mark.parametrize(
    "rows",
    [
        [*[("plain", "xy"[number % 2]) for number in range(9)], *[(cell, "x") for cell in TABLES]],
        [*[(f"plain {number}", "xy"[number % 2]) for number in range(1000)], ("tab\tand\nline\nend", "x")],
        [*[("plain", "x"), ("simple", "y")] * 3, ("x\tyes\nno", "y")],
        [(cell, "xy"[number % 2]) for number, cell in enumerate(TABLES)],
    ],
)
@pytest.mark.filterwarnings("ignore:posts.tsv. the cell that begins on line 2 holds separators and line ends, and is")
def test_cells_of_a_quoted_table_may_hold_tabs_and_line_ends(tmp_path, rows):
    """Also where each of their lines has as many tabs as the header."""
    path = tmp_path / "posts.tsv"
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(path, index=False, sep="\t")
    posts = PostsFile(path, Columns("text", None)).read()
    assert [(post.text, post.label) for post in posts] == rows


def test_two_columns_joined_without_quoting_keep_every_row(tmp_path):
    rows = [('"to be', "x"), ('or not"', "y"), ('"that', "y"), ("is the", "x"), ('question"', "x")]
    rows += [(f"plain {number}", "xy"[number % 2]) for number in range(4)]
    path = tmp_path / "posts.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in [("text", "label"), *rows]))
    with pytest.warns(JointuneWarning, match=UNQUOTED):
        posts = PostsFile(path, Columns("text", None)).read()
    assert [(post.text, post.label) for post in posts] == rows


def test_where_nothing_tells_a_cell_from_rows_it_is_said(tmp_path):
    path = tmp_path / "posts.tsv"
    path.write_text('text\tlabel\n"to be\tx\nor not"\ty\n')
    with pytest.warns(JointuneWarning, match=r"cell that begins on line 2 .* read as one cell\. If it is several"):
        assert [post.text for post in PostsFile(path, Columns("text", None)).read()] == ["to be\tx\nor not"]


def test_a_csv_joined_without_quoting_is_read_where_it_fits(tmp_path):
    path = joined(tmp_path / "posts.csv", [('"Wow" they said', "", "x"), ("b", "", "y")], ",")
    with pytest.warns(JointuneWarning, match=UNQUOTED):
        assert texts(path) == ['"Wow" they said', "b"]
    path = joined(tmp_path / "posts.csv", [('"Wow" they, said', "", "x"), ("b, c", "", "y")], ",")
    with pytest.raises(
        PostsError, match=r"posts\.csv line 2: a cell begins with a quotation mark and does not end with"
    ):
        read_posts(path)


def test_one_cell_in_a_quoted_table_that_is_not_closed_is_named(tmp_path):
    rows = [[f"text, {number}", "", "x"] for number in range(50)]
    frame = pd.DataFrame(rows, columns=["text", "image", "label"])
    path = tmp_path / "posts.csv"
    frame.to_csv(path, index=False)
    lines = path.read_text().splitlines()
    lines[20] = '"text, "19",,x'
    path.write_text("\n".join(lines))
    with pytest.raises(
        PostsError, match=r"posts\.csv line 21: a cell begins .* write quotation marks within a cell twice"
    ):
        read_posts(path)


WORDS = st.text(st.sampled_from('ab"\t\n,;| é'), max_size=12)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(rows=st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=6), ending=st.sampled_from([".csv", ".tsv"]))
def test_what_pandas_writes_is_read_back(tmp_path_factory, rows, ending):
    path = tmp_path_factory.mktemp("written") / f"posts{ending}"
    frame = pd.DataFrame([(*row, "end") for row in rows], columns=["text", "b", "c", "d"])
    frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",", lineterminator="\n")
    file = PostsFile(path, Columns("text", None, None))
    expected = pd.read_csv(path, sep="\t" if ending == ".tsv" else ",", dtype=str, keep_default_na=False)
    assert [tuple(row.values.values()) for row in file.table.rows()] == [tuple(row) for row in expected.values]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cells=st.lists(st.text(st.sampled_from('ab" é,'), min_size=1, max_size=12), min_size=1, max_size=8))
@pytest.mark.filterwarnings("ignore::jointune.errors.JointuneWarning")
def test_what_is_written_of_a_table_without_quoting_is_read_back(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("joined")
    path = joined(folder / "posts.tsv", [(cell, "", "x") for cell in cells])
    file = PostsFile(path, Columns(label=None))
    rows = [dict(row.values) for row in file.table.rows()]
    if next((row for row in rows if row["text"] not in cells), None) is None:  # not taken for a quoted one
        assert [row["text"] for row in rows] == cells
    for ending in (".tsv", ".csv"):
        out = folder / f"scored{ending}"
        with open_writer(out, make_layout(out, file.table, ["prediction", "confidence"])) as writer:
            for row in rows:
                writer.write({**row, "prediction": "x", "confidence": 1.0})
        scored = PostsFile(out, Columns(label=None)).table
        assert [row.values["text"] for row in scored.rows()] == [row["text"] for row in rows]


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_excels_line_with_the_separator(tmp_path, ending):
    path = tmp_path / f"posts{ending}"
    path.write_text('\ufeffsep=;\r\ntext;image;label\r\n"a; b\nc";;x\r\nd;;\r\n', encoding="utf-8")
    posts = read_posts(path)
    assert [(post.text, post.label) for post in posts] == [("a; b\nc", "x"), ("d", None)]
    assert [post.where for post in posts] == [f"posts{ending} row 1 (line 3)", f"posts{ending} row 2 (line 5)"]


def test_columns_without_a_name(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text(",text,image,label,,\n0,a,,x,,\n1,b,,y,,\n")
    assert PostsFile(path).columns == ["column 1", "text", "image", "label", "column 5", "column 6"]
    assert texts(path) == ["a", "b"]
    path.write_text("text,image,label\na,,x,\nb,,y\n")
    with pytest.raises(PostsError, match=r"row 1 \(line 2\): the row: it has 4 fields and the header 3"):
        read_posts(path)


def test_a_header_that_is_repeated_is_no_post(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("text,image,label\na,,x\ntext,image,label\nb,,y\n")
    with pytest.raises(PostsError, match=r"row 2 \(line 3\): the row: it repeats the header; remove the row"):
        read_posts(path)


def test_the_columns_of_a_table_with_semicolons_are_told_apart_in_the_error(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("tweet;mood\na;x\n")
    with pytest.raises(PostsError, match="there are: tweet, mood"):
        read_posts(path)


def test_line_ends_of_old_macs(tmp_path):
    path = tmp_path / "posts.csv"
    path.write_bytes(b'text,image,label\ra,,x\r"b\rc",,y\r')
    assert texts(path) == ["a", "b\rc"]


def test_quoting_is_told_for_each_table_of_a_folder(tmp_path):
    joined(tmp_path / "a.tsv", [('"Wow', "", "x"), ("b", "", "y")])
    out = io.StringIO()
    csv.writer(out, delimiter="\t").writerows([("text", "image", "label"), ('said "so"\nthen', "", "x")])
    (tmp_path / "b.tsv").write_text(re.sub("\r", "", out.getvalue()))
    with pytest.warns(JointuneWarning, match=rf"a\.tsv: {UNQUOTED}"):
        assert texts(tmp_path) == ['"Wow', "b", 'said "so"\nthen']
