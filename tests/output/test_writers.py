"""What was read is written in the same order with nothing lost, whole or not at all."""

import csv
import errno
import json
import math
import os
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointune import MissingExtraError, OutputError
from jointune.data.read import Columns, PostsFile
from jointune.output.writers import added_columns, check_output, make_layout, open_writer

ADDED = added_columns(["good", "bad"])
SCORES = {"prediction": "good", "confidence": 0.75, "p_good": 0.75, "p_bad": 0.25}
USE = Columns(label=None)
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def copy(source: Path, target: Path) -> Path:
    """Write the rows of ``source`` to ``target`` with made-up scores, as predict does."""
    file = PostsFile(source, USE)
    check_output(target, file.columns, ADDED)
    with open_writer(target, make_layout(target, file.table, ADDED)) as writer:
        for post in file:
            writer.write({**post.fields, **SCORES})
    return target


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ROWS = st.lists(st.tuples(TEXTS, st.sampled_from(["a.png", "b c.png", "é.jpg"]), TEXTS), min_size=1, max_size=6)


@pytest.mark.parametrize("target", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("source", [".csv", ".tsv", ".jsonl", ".parquet"])
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=ROWS)
def test_rows_come_back_the_same_and_in_order(tmp_path, source, target, rows):
    columns = ["text", "image", "note"]
    path = tmp_path / f"posts{source}"
    if source in (".csv", ".tsv"):
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if source == ".tsv" else ",")
            writer.writerows([columns, *rows])
    elif source == ".jsonl":
        path.write_text(
            "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows), encoding="utf-8"
        )
    else:
        pq.write_table(pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows]), path)
    scored = copy(path, tmp_path / f"scored{target}")
    before, after = list(PostsFile(path, USE)), list(PostsFile(scored, USE))
    assert [(post.text, post.image) for post in after] == [(post.text, post.image) for post in before]
    assert [post.fields["note"] for post in after] == [row[2] for row in rows]
    assert PostsFile(scored, USE).columns == [*columns, *ADDED]
    assert all(float(post.fields["confidence"]) == 0.75 for post in after)
    assert all(post.fields["prediction"] == "good" for post in after)
    scored.unlink()


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_parquet_keeps_its_types_and_its_pictures(tmp_path):
    table = pa.table(
        {
            "text": ["a", None],
            "image": pa.array([{"bytes": b"123", "path": None}, {"bytes": None, "path": "b.png"}]),
            "when": pa.array([0, 1], pa.timestamp("ms")),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "tags": [["p", "q"], []],
            "small": pa.array([1, None], pa.int8()),
        }
    )
    pq.write_table(table, tmp_path / "posts.parquet")
    scored = pq.read_table(copy(tmp_path / "posts.parquet", tmp_path / "scored.parquet"))
    assert scored.select(table.column_names).to_pylist() == table.to_pylist()
    assert scored.schema.field("small").type == pa.int8()
    for name in ("scored.csv", "scored.jsonl"):
        with pytest.raises(OutputError, match=r"pictures as bytes.*write to \.parquet"):
            copy(tmp_path / "posts.parquet", tmp_path / name)
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        ([1, 2, None], [1, 2, None], pa.int64()),
        ([True, None], [True, None], pa.bool_()),
        ([1, 2.5], [1.0, 2.5], pa.float64()),
        ([1, "x"], ["1", "x"], pa.string()),
        ([2**60 + 1, 1], [2**60 + 1, 1], pa.int64()),
        ([2**60 + 1, 0.5], [str(2**60 + 1), "0.5"], pa.string()),
        ([2**70, 1], [str(2**70), "1"], pa.string()),
        ([[1], {"a": "é"}], ["[1]", '{"a": "é"}'], pa.string()),
        ([None, None], [None, None], pa.string()),
        (["half \ud83d", "é"], ["half ?", "é"], pa.string()),
    ],
)
def test_parquet_columns_get_a_type_that_all_values_fit(tmp_path, values, expected, kind):
    rows = [{"text": "a", "image": "a.png", "x": value} for value in values]
    scored = pq.read_table(copy(jsonl(tmp_path / "p.jsonl", *rows), tmp_path / "s.parquet"))
    assert scored["x"].to_pylist() == expected
    assert scored.schema.field("x").type == kind


def test_half_an_emoji_survives_in_jsonl_and_stops_no_other_format(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", {"text": "a \ud83d", "image": "é.png"})
    (post,) = PostsFile(copy(path, tmp_path / "s.jsonl"), USE)
    assert post.fields["text"] == "a \ud83d"
    assert "é.png" in (tmp_path / "s.jsonl").read_text(encoding="utf-8")
    for name in ("s.csv", "s.parquet"):
        (post,) = PostsFile(copy(path, tmp_path / name), USE)
        assert post.fields["text"] == "a ?"


def test_missing_values_stay_missing_in_csv(tmp_path):
    rows = [{"text": "a", "image": None, "x": math.nan}, {"text": "b", "image": "b.png", "y": {"k": [1]}}]
    first, second = PostsFile(copy(jsonl(tmp_path / "p.jsonl", *rows), tmp_path / "s.csv"), USE)
    assert (first.image, first.fields["x"], first.fields["y"]) == (None, "", "")
    assert (second.fields["x"], second.fields["y"]) == ("", '{"k": [1]}')


def test_an_unknown_ending_and_a_column_of_an_added_name(tmp_path):
    with pytest.raises(OutputError, match=r"the ending \.txt is not known; use one of \.csv, \.tsv"):
        check_output(tmp_path / "s.txt", ["text"], ADDED)
    with pytest.raises(OutputError, match=r"the ending \(none\) is not known"):
        check_output(tmp_path / "s", ["text"], ADDED)
    for name in ADDED:
        with pytest.raises(OutputError, match=f"a column '{name}' already, which scoring adds: rename it"):
            check_output(tmp_path / "s.csv", ["text", name], ADDED)
    check_output(tmp_path / "S.CSV", ["text", "p_other"], ADDED)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_an_error_while_writing_leaves_nothing_and_spares_what_was_there(tmp_path, ending):
    source = jsonl(tmp_path / "p.jsonl", {"text": "a", "image": "a.png"})
    target = tmp_path / f"scored{ending}"
    target.write_text("of yesterday")
    table = PostsFile(source, USE).table
    with pytest.raises(KeyError), open_writer(target, make_layout(target, table, ADDED)) as writer:  # noqa: PT012
        writer.write({"text": "a", "image": "a.png", **SCORES})
        raise KeyError("something else")
    assert target.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.jsonl", target.name]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_disk_that_is_full_at_the_last_moment(tmp_path, ending, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = jsonl(tmp_path / "p.jsonl", {"text": "a", "image": "a.png"})
    monkeypatch.setattr(os, "fsync", full)  # the last moment: a small disk would be full before
    with pytest.raises(OutputError, match=f"scored{ending} could not be written: the disk is full; nothing was left"):
        copy(source, tmp_path / f"scored{ending}")
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_parquet_takes_an_extra_of_its_own_that_brings_no_more(tmp_path, monkeypatch):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "p.parquet")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingExtraError, match=r"writing Parquet needs .*pip install -c constraints\.txt '\.\[parquet\]'"
    ):
        check_output(tmp_path / "s.parquet", ["text"], ["prediction"])
    with pytest.raises(
        MissingExtraError, match=r"reading Parquet needs .*pip install -c constraints\.txt '\.\[parquet\]'"
    ):
        PostsFile(tmp_path / "p.parquet")
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (brought,) = extras["parquet"]
    assert brought in extras["train"]
