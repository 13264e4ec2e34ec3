"""Write scored rows as CSV, TSV, JSONL or Parquet, as a stream or in parts; files appear whole or not at all."""

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

from jointune.data.tables.table import Table
from jointune.errors import OutputError
from jointune.output.vectors import NPZ, write_npz
from jointune.utils.extras import require
from jointune.utils.files import atomic_file
from jointune.utils.wording import encodable

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")

_GROUP_ROWS, _GROUP_BYTES = 8192, 64 * 2**20
"""A Parquet row group, which has to fit into memory, ends at so many rows or bytes."""

_CHECKED_ROWS = 100
"""Rows in which columns of an earlier scoring have to hold probabilities."""

_BUFFERED_ROWS = 1024
"""Rows that are converted to an Arrow table at once."""

_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - spreadsheets read the wide ones alike
"""First characters of cells that spreadsheets take for formulas."""


class Writer(Protocol):
    """Takes rows one by one."""

    def write(self, values: Mapping[str, object]) -> None:
        """Write one row."""


def added_columns(labels: Sequence[str], prefix: str = "") -> list[str]:
    """Return the columns that scoring adds: ``prediction``, ``confidence`` and a ``p_<label>`` each, after a prefix."""
    return [f"{prefix}{name}" for name in ("prediction", "confidence", *(f"p_{label}" for label in labels))]


def columns_of_earlier_scoring(table: Table, prefix: str = "") -> list[str]:
    """Return the columns at a table's end that an earlier scoring added, by any model; none if in doubt.

    They are recognised by their names and order, and by the probabilities in their first rows.

    Raises:
        PostsError: the table is damaged.
    """
    first, confidence = added_columns([], prefix)
    start = table.columns.index(first) if first in table.columns else len(table.columns)
    added = table.columns[start:]
    after = (f"{prefix}prediction_set", f"{prefix}unlike", f"{prefix}max_logit")
    numbers = [name for name in added if not name.startswith(after)]
    labels = numbers[2:] if numbers[1:2] == [confidence] else numbers[1:]  # there is none of several labels
    if len(labels) < 2 or not all(name.startswith(f"{prefix}p_") for name in labels):
        return []
    for row in islice(table.rows(), _CHECKED_ROWS):
        if not all(_is_probability(row.values[name]) for name in numbers[1:] if name in row.values):
            return []
    return added


def _is_probability(value: object) -> bool:
    try:
        return 0 <= float(str(value)) <= 1
    except ValueError:
        return False


def safe_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; numbers stay as they are."""
    if not _FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def check_output(path: Path, columns: Sequence[str], added: Sequence[str], remedy: str = "rename it first") -> None:
    """Check that the columns of the posts and the added ones can be written; ``remedy`` is for a name of both.

    Raises:
        OutputError: the ending is unknown, or the posts have a column of an added name already.
        MissingExtraError: ``path`` is a Parquet file and pyarrow is not installed.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise OutputError(
            f"{path}: the ending {path.suffix or '(none)'} is not known", f"use one of {', '.join(ENDINGS)}"
        )
    if clash := next((name for name in added if name in set(columns)), None):
        raise OutputError(f"the posts have a column {clash!r} already, which scoring adds: {remedy}")
    if ending == ".parquet":
        require("pyarrow", "parquet", "writing Parquet")
        if odd := next((name for name in columns if encodable(name) != name), None):
            raise OutputError(
                f"{path}: Parquet cannot hold the column {odd!r}, whose name has half of a character: rename it, or "
                "write to .jsonl"
            )


@dataclass(frozen=True)
class Layout:
    """The format and the columns of an output.

    Attributes:
        ending: .csv, .tsv, .jsonl or .parquet; .npz for vectors.
        columns: the names of the columns, in order.
        schema: for Parquet and vectors, their types, as a ``pyarrow.Schema``.
        safe: whether ``safe_cell`` is applied in CSV and TSV files.
    """

    ending: str
    columns: list[str]
    schema: Any = None
    safe: bool = False


def make_layout(
    path: Path,
    table: Table,
    added: Sequence[str],
    left_out: Collection[str] = (),
    safe: bool = False,
    texts: Collection[str] = ("prediction",),
) -> Layout:
    """Return the layout of a table without the columns ``left_out``, and with the ``added`` ones.

    Of these, ``texts`` are texts, and the others numbers.

    For Parquet, the types of columns may take reading the whole table.
    """
    ending = path.suffix.lower()
    schema = None
    if ending == ".parquet":
        arrow = require("pyarrow", "parquet", "writing Parquet")
        fields = [field for field in getattr(table, "schema", None) or _inferred(table) if field.name not in left_out]
        types = [arrow.string() if name in texts else arrow.float32() for name in added]
        schema = arrow.schema([*fields, *map(arrow.field, added, types)])
    return Layout(ending, [*(name for name in table.columns if name not in left_out), *added], schema, safe)


def text_layout(path: Path, columns: Sequence[str]) -> Layout:
    """Return the layout of columns of texts."""
    schema = None
    if path.suffix.lower() == ".parquet":
        arrow = require("pyarrow", "parquet", "writing Parquet")
        schema = arrow.schema([arrow.field(name, arrow.string()) for name in columns])
    return Layout(path.suffix.lower(), list(columns), schema)


@contextmanager
def open_writer(path: Path, layout: Layout) -> Iterator[Writer]:
    """Write rows; ``path`` appears when the block ends without an error.

    Raises:
        OutputError: the disk is full or the like, or a value does not fit the format.
    """
    with atomic_file(path) as temporary, _open(temporary, layout) as writer:
        yield writer


def part_ending(layout: Layout) -> str:
    """Return the ending of a part: for Parquet, parts are Arrow files, which keep every type as it is."""
    return layout.ending if layout.schema is None else ".arrow"


def write_part(path: Path, rows: Iterable[Mapping[str, object]], layout: Layout) -> int:
    """Write and count the rows of a part for ``join_parts``; ``path`` appears whole or not at all.

    Raises:
        OutputError: the disk is full or the like, or a value does not fit the format.
    """
    count = 0
    with atomic_file(path) as temporary, _open(temporary, layout, part=True) as writer:
        for values in rows:
            writer.write(values)
            count += 1
    return count


def join_parts(parts: Iterable[Path], path: Path, layout: Layout) -> None:
    """Write the rows of all ``parts``, in their order, to ``path``, in bounded memory."""
    if layout.ending == NPZ:
        write_npz(list(parts), path)
    elif layout.schema is None:
        with _open(path, layout):
            pass  # the header
        with open(path, "ab") as joined:
            for part in parts:
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, joined)
    else:
        parquet = require("pyarrow.parquet", "parquet", "writing Parquet")
        with parquet.ParquetWriter(path, layout.schema) as sink:
            for group in _row_groups(parts):
                sink.write_table(group)


def _row_groups(parts: Iterable[Path]) -> Iterator[Any]:
    """Yield the tables of ``parts``, joined to row groups, which do not depend on the number of interruptions."""
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


@contextmanager
def _open(path: Path, layout: Layout, part: bool = False) -> Iterator[Writer]:
    """Open a file for rows; a part has no header, and Arrow's format in place of Parquet."""
    if layout.schema is not None:
        module = "pyarrow.ipc" if part else "pyarrow.parquet"
        library = require(module, "parquet", "writing Parquet")
        with (library.new_stream if part else library.ParquetWriter)(str(path), layout.schema) as sink:
            writer = _ArrowWriter(sink, layout.schema)
            yield writer
            writer.flush()
    elif layout.ending == ".jsonl":
        # A lone surrogate has no UTF-8 form, but JSON knows this escape.
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            yield _JsonlWriter(file)
    else:
        with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
            yield _DelimitedWriter(file, layout, header=not part)


class _DelimitedWriter:
    def __init__(self, file: Any, layout: Layout, header: bool) -> None:
        def writer(quoting: Any) -> Any:
            delimiter = "\t" if layout.ending == ".tsv" else ","
            return csv.DictWriter(file, layout.columns, delimiter=delimiter, lineterminator="\n", quoting=quoting)

        self._minimal, self._all_quoted = writer(csv.QUOTE_MINIMAL), writer(csv.QUOTE_ALL)
        self._safe = layout.safe
        if header:
            self.write({name: name for name in layout.columns})

    def write(self, values: Mapping[str, object]) -> None:
        row = {name: _cell(name, value) for name, value in values.items()}
        if self._safe:
            row = {name: safe_cell(value) if isinstance(value, str) else value for name, value in row.items()}
        # Python 3.11 and 3.12 leave a lone carriage return unquoted, which readers take for the end of the row.
        returns = any(isinstance(value, str) and "\r" in value for value in row.values())
        (self._all_quoted if returns else self._minimal).writerow(row)


class _JsonlWriter:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, values: Mapping[str, object]) -> None:
        self._file.write(json.dumps(values, ensure_ascii=False, default=_jsonable) + "\n")


class _ArrowWriter:
    def __init__(self, sink: Any, schema: Any) -> None:
        self._arrow = require("pyarrow", "parquet", "writing Parquet")
        self._sink, self._schema = sink, schema
        self._rows: list[dict[str, object]] = []
        self._text_columns = {field.name for field in schema if self._arrow.types.is_string(field.type)}

    def write(self, values: Mapping[str, object]) -> None:
        self._rows.append({name: self._converted(name, value) for name, value in values.items()})
        if len(self._rows) == _BUFFERED_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._sink.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def _converted(self, name: str, value: object) -> object:
        if name not in self._text_columns or value is None:
            return value
        return encodable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_jsonable))


def _inferred(table: Table) -> list[Any]:
    """Return a field for each column, of a type that fits all its values; reads the whole table."""
    arrow = require("pyarrow", "parquet", "writing Parquet")
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
        ({"image"}, arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})),
    ]
    return [
        arrow.field(name, next((type_ for fitting, type_ in types if own and own <= fitting), arrow.string()))
        for name, own in kinds.items()
    ]


def _kind(value: object) -> str:
    if isinstance(value, Mapping) and value.keys() == {"bytes", "path"}:
        return "image"  # as datasets stores one
    if type(value) is int and abs(value) > 2**53:  # no float holds it
        return "int64" if abs(value) < 2**63 else "long"
    return type(value).__name__


def _cell(name: str, value: object) -> object:
    if isinstance(value, bytes) or (isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes)):
        raise OutputError(f"column {name!r} holds pictures as bytes, which a text file cannot: write to .parquet")
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False, default=_jsonable)
    # csv would write "nan", which would be read as a text.
    return None if isinstance(value, float) and math.isnan(value) else value


def _jsonable(value: object) -> object:
    if isinstance(value, bytes):
        raise OutputError("the posts hold pictures as bytes, which JSON cannot: write to .parquet")
    return str(value)
