"""An input is cut into parts that are the same for everybody who counts them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointune.data.read import Columns
from jointune.errors import PostsError, SettingsError
from jointune.output.predicted_table import PredictOptions
from jointune.scale.input_parts import PART_ROWS, InputPart, input_parts, share_of


@pytest.fixture
def options(tiny_bundle):
    return PredictOptions(str(tiny_bundle), Columns("text", None, None))


def test_each_table_of_a_folder_is_a_part(options, tmp_path):
    for name in ("b.csv", "a.TSV", "c.ndjson", "d.parquet", ".hidden.csv", "notes.txt", "schema.json"):
        (tmp_path / name).write_text("text\ngood\n")
    parts = input_parts(str(tmp_path), options)
    assert [part.name for part in parts] == ["a.TSV", "b.csv", "c.ndjson.jsonl", "d.parquet"]
    assert all(part.stop is None and part.start == 0 for part in parts)
    (tmp_path / "b.csv").write_text("text\nbetter\n")
    again = {part.name: part.source for part in input_parts(str(tmp_path), options)}
    assert [part.name for part in parts if again[part.name] != json.loads(json.dumps(part.source))] == ["b.csv"]


def test_a_single_table_is_cut_into_ranges_of_rows(options, tmp_path):
    number = 2 * PART_ROWS + 1
    pq.write_table(pa.table({"text": [f"good {row}" for row in range(number)]}), tmp_path / "posts.parquet")
    parts = input_parts(str(tmp_path / "posts.parquet"), options)
    assert [part.name for part in parts] == [f"posts-{number:05}.parquet" for number in range(3)]
    ranges = [row for part in parts for row in range(part.start, part.stop)]
    assert ranges == list(range(number))
    (tmp_path / "few.csv").write_text("text\ngood\n")
    assert [part.name for part in input_parts(str(tmp_path / "few.csv"), options)] == ["few.csv"]


def test_two_tables_with_one_output_are_refused(options, tmp_path):
    for name in ("a.ndjson", "a.ndjson.jsonl"):
        (tmp_path / name).write_text('{"text": "good"}\n')
    with pytest.raises(PostsError, match=r"several tables would have the output a\.ndjson\.jsonl; rename one"):
        input_parts(str(tmp_path), options)


def test_what_is_no_table_is_refused_by_name(options, tmp_path):
    with pytest.raises(PostsError, match="no such file"):
        input_parts(str(tmp_path / "nowhere"), options)
    with pytest.raises(PostsError, match="the folder holds no"):
        input_parts(str(tmp_path), options)
    (tmp_path / "inner.csv").mkdir()
    with pytest.raises(PostsError, match=r"inner\.csv: a folder within a folder of tables"):
        input_parts(str(tmp_path), options)


@given(st.integers(0, 30), st.integers(1, 12))
def test_the_shares_hold_each_part_once(number, shares):
    parts = [InputPart(f"{index}.csv", f"{index}.csv", ()) for index in range(number)]
    found = [part for index in range(shares) for part in share_of(parts, f"{index}/{shares}")]
    assert sorted(part.name for part in found) == sorted(part.name for part in parts)
    sizes = [len(share_of(parts, f"{index}/{shares}")) for index in range(shares)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("share", ["", "1", "/", "1/", "/2", "-1/2", "a/b", "0/0", "1.0/2", "²/3"])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(SettingsError, match="give I/N, such as 0/8"):
        share_of([], share)


def test_shares_are_counted_from_0():
    with pytest.raises(SettingsError, match="counted from 0/2 to 1/2"):
        share_of([], "2/2")
