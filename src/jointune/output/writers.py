"""Scored rows to CSV, TSV, JSONL or Parquet, as a stream or in parts, appearing whole or not at all."""

import csv
import json
import math
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from jointune.data.post import encodable
from jointune.data.tables.table import Table
from jointune.errors import OutputError
from jointune.utils.extras import require
from jointune.utils.files import atomic_file

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
_GROUP_ROWS, _GROUP_BYTES = 8192, 64 * 2**20
"""A Parquet row group, which has to fit into memory, ends when it has so many rows or bytes."""

_LOOKED_AT = 100
"""Rows from which it is told what a column holds."""

_BUFFERED = 1024
"""Rows that are put into an Arrow table at once."""

_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - spreadsheets read the wide ones alike
"""What a cell begins with that spreadsheets take for a formula."""


class Writer(Protocol):
    """Takes rows one by one."""

    def write(self, values: Mapping[str, object]) -> None:
        """Write one row."""


def added_columns(labels: Sequence[str], prefix: str = "") -> list[str]:
    """The columns that scoring adds: ``prediction``, ``confidence`` and one ``p_<label>`` each, after a prefix."""
    return [f"{prefix}{name}" for name in ("prediction", "confidence", *(f"p_{label}" for label in labels))]


def columns_of_earlier_scoring(table: Table, prefix: str = "") -> list[str]:
    """The columns at a table's end that an earlier scoring added, by any model; none where they may be anything else.

    They are known by their names and order, and by values that are probabilities in the first rows.

    Raises:
        PostsError: the table is damaged.
    """
    first, numbers = added_columns([], prefix)
    start = table.columns.index(first) if first in table.columns else len(table.columns)
    added = table.columns[start:]
    if added[1:2] != [numbers] or len(added) < 4 or not all(name.startswith(f"{prefix}p_") for name in added[2:]):
        return []
    for row in islice(table.rows(), _LOOKED_AT):
        if not all(_is_probability(row.values[name]) for name in added[1:] if name in row.values):
            return []
    return added


def _is_probability(value: object) -> bool:
    try:
        return 0 <= float(str(value)) <= 1
    except ValueError:
        return False


def safe_cell(text: str) -> str:
    """``text``, after a quotation mark where a spreadsheet would take it for a formula; numbers stay as they are."""
    if not _FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def check_output(path: Path, columns: Sequence[str], added: Sequence[str], remedy: str = "rename it first") -> None:
    """See to it that the rows can be written, before any is scored.

    Args:
        path: the output.
        columns: of the posts, that are kept.
        added: names of the added columns.
        remedy: what to do about a column that has an added name.

    Raises:
        OutputError: the ending is not known, or the posts have a column of an added name already.
        MissingExtraError: Parquet is asked for and pyarrow is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise OutputError(
            f"{path}: the ending {path.suffix or '(none)'} is not known", f"use one of {', '.join(ENDINGS)}"
        )
    there = set(columns)
    clash = next((name for name in added if name in there), None)
    if clash is not None:
        raise OutputError(f"the posts have a column {clash!r} already, which scoring adds: {remedy}")
    if path.suffix.lower() == ".parquet":
        require("pyarrow", "parquet", "writing Parquet")
        if odd := next((name for name in columns if encodable(name) != name), None):
            raise OutputError(
                f"{path}: Parquet cannot hold the column {odd!r}, whose name has half of a character: rename it, or "
                "write to .jsonl"
            )


@dataclass(frozen=True)
class Layout:
    """How rows become a file.

    Attributes:
        ending: .csv, .tsv, .jsonl or .parquet.
        columns: the names of the columns, in order.
        schema: for Parquet, their types, as a ``pyarrow.Schema``.
        safe: whether cells of CSV and TSV files that a spreadsheet would take for formulas are made texts.
    """

    ending: str
    columns: list[str]
    schema: Any = None
    safe: bool = False


def make_layout(
    path: Path, table: Table, added: Sequence[str], left_out: Collection[str] = (), safe: bool = False
) -> Layout:
    """The layout of ``table`` with ``added`` columns; for Parquet it may take a pass over the table.

    Args:
        path: ends in .csv, .tsv, .jsonl or .parquet.
        table: gives the columns and, for Parquet, their types.
        added: names of the added columns, the first a string, the others numbers.
        left_out: columns of the table that are not written.
        safe: see ``Layout``.
    """
    ending = path.suffix.lower()
    schema = _schema(table, added, left_out) if ending == ".parquet" else None
    return Layout(ending, [*(name for name in table.columns if name not in left_out), *added], schema, safe)


@contextmanager
def open_writer(
    path: Path, table: Table, added: Sequence[str], left_out: Collection[str] = (), safe: bool = False
) -> Iterator[Writer]:
    """Write the rows of ``table`` with ``added`` columns; ``path`` appears when the block ends without an error.

    Args:
        path: ends in .csv, .tsv, .jsonl or .parquet.
        table: gives the columns and, for Parquet, their types.
        added: names of the added columns, the first a string, the others numbers.
        left_out: columns of the table that are not written.
        safe: see ``Layout``.

    Raises:
        OutputError: the disk is full or the like, or a value does not fit the format.
    """
    with atomic_file(path) as temporary:
        layout = make_layout(path, table, added, left_out, safe)
        if layout.schema is None:
            with _open_text(temporary, layout) as writer:
                yield writer
        else:
            with _open_parquet(temporary, layout) as sink, _open_arrow(sink, layout) as writer:
                yield writer


def part_ending(layout: Layout) -> str:
    """What the name of a part ends in: Parquet's are Arrow files, which keep every type as it is."""
    return layout.ending if layout.schema is None else ".arrow"


def write_part(path: Path, rows: Iterable[Mapping[str, object]], layout: Layout) -> int:
    """Write rows that ``join_parts`` makes a file of, and count them; ``path`` appears whole or not at all.

    Raises:
        OutputError: the disk is full or the like, or a value does not fit the format.
    """
    with atomic_file(path) as temporary:
        if layout.schema is None:
            with _open_text(temporary, layout, header=False) as writer:
                return _write_all(writer, rows)
        else:
            ipc = require("pyarrow.ipc", "parquet", "writing Parquet")
            with ipc.new_stream(str(temporary), layout.schema) as sink, _open_arrow(sink, layout) as writer:
                return _write_all(writer, rows)


def join_parts(parts: Iterable[Path], path: Path, layout: Layout) -> None:
    """Write the rows of all ``parts``, in their order, to ``path``, in bounded memory."""
    if layout.schema is None:
        with _open_text(path, layout):
            pass  # the header
        with open(path, "ab") as joined:
            for part in parts:
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, joined)
    else:
        with _open_parquet(path, layout) as sink:
            for group in _row_groups(parts):
                sink.write_table(group)


def _write_all(writer: Writer, rows: Iterable[Mapping[str, object]]) -> int:
    count = 0
    for values in rows:
        writer.write(values)
        count += 1
    return count


@contextmanager
def _open_text(path: Path, layout: Layout, header: bool = True) -> Iterator[Writer]:
    if layout.ending == ".jsonl":
        # A lone surrogate has no UTF-8 form, but this escape is the one that JSON knows.
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            yield _JsonlWriter(file)
    else:
        with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
            yield _DelimitedWriter(file, layout, header)


class _DelimitedWriter:
    def __init__(self, file: Any, layout: Layout, header: bool) -> None:
        delimiter = "\t" if layout.ending == ".tsv" else ","
        self._writer = csv.DictWriter(file, layout.columns, delimiter=delimiter, lineterminator="\n")
        self._quoting = csv.DictWriter(
            file, layout.columns, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        self._safe = layout.safe
        if header:
            self.write({name: name for name in layout.columns})

    def write(self, values: Mapping[str, object]) -> None:
        row = {name: _cell(name, value) for name, value in values.items()}
        if self._safe:
            row = {name: safe_cell(value) if isinstance(value, str) else value for name, value in row.items()}
        # Python 3.11 and 3.12 leave a lone carriage return unquoted, which readers take for the end of the row.
        returns = any(isinstance(value, str) and "\r" in value for value in row.values())
        (self._quoting if returns else self._writer).writerow(row)


class _JsonlWriter:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, values: Mapping[str, object]) -> None:
        self._file.write(json.dumps(values, ensure_ascii=False, default=_jsonable) + "\n")


class _ArrowWriter:
    def __init__(self, sink: Any, schema: Any, arrow: Any) -> None:
        self._sink, self._schema, self._arrow = sink, schema, arrow
        self._rows: list[dict[str, object]] = []
        self._as_text = {field.name for field in schema if arrow.types.is_string(field.type)}

    def write(self, values: Mapping[str, object]) -> None:
        self._rows.append({name: self._fitted(name, value) for name, value in values.items()})
        if len(self._rows) == _BUFFERED:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._sink.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def _fitted(self, name: str, value: object) -> object:
        if name not in self._as_text or value is None:
            return value
        return encodable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_jsonable))


@contextmanager
def _open_arrow(sink: Any, layout: Layout) -> Iterator[Writer]:
    writer = _ArrowWriter(sink, layout.schema, require("pyarrow", "parquet", "writing Parquet"))
    yield writer
    writer.flush()


def _open_parquet(path: Path, layout: Layout) -> Any:
    parquet = require("pyarrow.parquet", "parquet", "writing Parquet")
    return parquet.ParquetWriter(path, layout.schema)


def _row_groups(parts: Iterable[Path]) -> Iterator[Any]:
    """The tables of ``parts``, put together to row groups: where these end does not depend on who wrote which part."""
    arrow = require("pyarrow", "parquet", "writing Parquet")
    ipc = require("pyarrow.ipc", "parquet", "writing Parquet")
    tables: list[Any] = []
    for part in parts:
        with ipc.open_stream(str(part)) as file:
            tables.append(file.read_all())
        if sum(map(len, tables)) >= _GROUP_ROWS or sum(table.nbytes for table in tables) >= _GROUP_BYTES:
            yield arrow.concat_tables(tables)
            tables = []
    if tables:
        yield arrow.concat_tables(tables)


def _schema(table: Table, added: Sequence[str], left_out: Collection[str]) -> Any:
    arrow = require("pyarrow", "parquet", "writing Parquet")
    fields = list(getattr(table, "schema", None) or _inferred(table, arrow))
    numbers = [arrow.field(name, arrow.float32()) for name in added[1:]]
    fields = [field for field in fields if field.name not in left_out]
    return arrow.schema([*fields, arrow.field(added[0], arrow.string()), *numbers])


def _inferred(table: Table, arrow: Any) -> list[Any]:
    """A type for each column that all its values fit: one more pass over the file, but never a surprise at its end."""
    kinds: dict[str, set[str]] = {name: set() for name in table.columns}
    for row in table.rows():
        for name, value in row.values.items():
            if value is not None:
                kinds[name].add(_kind(value))
    types = [
        ({"bool"}, arrow.bool_()),
        ({"int", "int64"}, arrow.int64()),
        ({"int", "float"}, arrow.float64()),
        ({"bytes"}, arrow.binary()),
        ({"picture"}, arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})),
    ]
    return [
        arrow.field(name, next((type_ for fitting, type_ in types if found and found <= fitting), arrow.string()))
        for name, found in kinds.items()
    ]


def _kind(value: object) -> str:
    if isinstance(value, Mapping) and value.keys() == {"bytes", "path"}:
        return "picture"  # how datasets keeps one
    if type(value) is int and abs(value) > 2**53:  # no float holds it
        return "int64" if abs(value) < 2**63 else "long"
    return type(value).__name__


def _cell(name: str, value: object) -> object:
    if isinstance(value, bytes) or (isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes)):
        raise OutputError(f"column {name!r} holds pictures as bytes, which a text file cannot: write to .parquet")
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False, default=_jsonable)
    # csv would write "nan", which is a text like any other when the file is read.
    return None if isinstance(value, float) and math.isnan(value) else value


def _jsonable(value: object) -> object:
    if isinstance(value, bytes):
        raise OutputError("the posts hold pictures as bytes, which JSON cannot: write to .parquet")
    return str(value)
