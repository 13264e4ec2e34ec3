"""CSV and TSV, read as a stream."""

import csv
import re
import sys
import threading
import warnings
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from jointune.data.problems import Problem
from jointune.data.tables.encoding import UNDECODED, advice, file_encoding
from jointune.data.tables.table import MOST_CHARACTERS, Row, Table
from jointune.errors import JointuneWarning, PostsError

_SEPARATORS = {".csv": ",;\t|", ".tsv": "\t"}
_BLOCK = 2**20
_FEW_VALUES = 1000
_QUOTED_CELL = re.compile(r'"(?:[^"]|"")*"')

Quoting = Literal[0, 3]


class _Fault(NamedTuple):
    """Why a table can hardly be one with quoting; ``multiline`` if it is only a cell with separators and line ends."""

    reason: str
    multiline: bool = False


class DelimitedTable(Table):
    """A CSV or TSV file with a header row.

    Columns without a name are called ``column 3`` and so on. A first line such as ``sep=;``, which Excel writes and
    obeys, names the separator.

    A ``.csv`` may be separated by comma, semicolon, tab or bar, as it gives most of the ``wanted`` columns, and a
    ``.tsv`` by tabs. A byte-order mark overrides UTF-8 as the encoding.

    Raises:
        PostsError: the file is empty, or its header is not in ``encoding``.
    """

    def __init__(self, path: Path, encoding: str, wanted: Sequence[str] = ()) -> None:
        self.path = path
        self.encoding = file_encoding(path, encoding)
        self._skipped_lines = 0
        self._delimiter = ","
        with self._open() as file:
            separator_line = re.fullmatch(r'"?sep=(.)"?[\r\n]*', file.readline(16))
        if separator_line:
            self._skipped_lines = 1
        separators = separator_line[1] if separator_line else _SEPARATORS.get(path.suffix.lower(), ",")
        self._header = self._read_header(separators, wanted)
        self.columns = [name.strip() or f"column {place}" for place, name in enumerate(self._header, 1)]

    def _rows(self) -> Iterator[Row]:
        for number, (line, values) in enumerate(self._records(self._quoting)):
            where = f"{self.path.name} row {number} (line {line})"
            if number == 0:
                continue
            if values == self._header:
                yield Row(where, {}, Problem(where, "the row", "it repeats the header", "remove the row"))
            elif len(values) == len(self.columns):
                yield Row(where, dict(zip(self.columns, values, strict=True)))
            else:
                remedy = f"quote fields that contain {self._delimiter!r} or line ends, or remove the row"
                reason = f"it has {len(values)} fields and the header {len(self.columns)}"
                yield Row(where, {}, Problem(where, "the row", reason, remedy))

    def _read_header(self, separators: str, wanted: Sequence[str]) -> list[str]:
        headers: dict[str, list[str]] = {}
        for separator in separators:
            self._delimiter = separator
            headers[separator] = next(self._records(), (1, []))[1]

        def worth(separator: str) -> tuple[int, bool]:
            names = [name.strip() for name in headers[separator]]
            return sum(name in names for name in wanted), len(names) > 1

        best = max(headers, key=worth)  # the first one, unless another gives more of the wanted columns, or any columns
        if not headers[best]:
            raise PostsError(f"{self.path.name}: the file is empty", "its first line must name the columns")
        self._delimiter = best
        return headers[best]

    @cached_property
    def _quoting(self) -> Quoting:
        """Tell whether quotation marks at the start of cells enclose these, or are characters like any other.

        In a table whose cells were joined without quoting, some cell begins with a quotation mark and does not end with
        one: read as quoted, it would swallow the rows that follow. If a later row happens to end it, the table can be
        read either way, and ``_lines_are_rows`` decides.

        Raises:
            PostsError: neither reading fits.
        """
        with open(self.path, "rb") as file:
            if not any(b'"' in block for block in iter(lambda: file.read(_BLOCK), b"")):
                return csv.QUOTE_NONE
        fault = self._quoting_fault()
        if fault is None:
            return csv.QUOTE_MINIMAL
        width, rows, fitting, quoted = len(self._header), 0, 0, 0
        for _, values in self._records(csv.QUOTE_NONE):
            if rows == 0 and any(name.lstrip().startswith('"') for name in values):
                width = 0  # nobody quotes the header alone
            rows += 1
            fitting += len(values) == width
            quoted += any(_QUOTED_CELL.fullmatch(value) for value in values)
        if quoted <= rows / 2 and (self._lines_are_rows(fault) if fault.multiline else fitting >= 0.99 * rows):
            self._warn(
                f"read as a table without quoting, whose quotation marks are characters like any other: {fault.reason}"
            )
            return csv.QUOTE_NONE
        if fault.multiline:
            return csv.QUOTE_MINIMAL  # a cell may hold separators and line ends, and no other reading is more likely
        raise PostsError(
            f"{self.path.name} {fault.reason}", "write quotation marks within a cell twice, and one around the cell"
        )

    def _quoting_fault(self) -> _Fault | None:
        """Find the first place where the table cannot be, or hardly is, one with quoting."""
        line = self._skipped_lines + 1
        try:
            for line, values in self._records(strict=True):
                # In tables separated by commas or semicolons, separators and line ends are usual in a text.
                if self._delimiter not in ",;" and any(
                    self._delimiter in value and ("\n" in value or "\r" in value) for value in values
                ):
                    return _Fault(f"the cell that begins on line {line} holds separators and line ends", True)
        except _StrictError as error:
            return _Fault(str(error))
        return None

    def _lines_are_rows(self, fault: _Fault) -> bool:
        """Tell whether the lines of multi-line cells are rows, in a table that can be read with and without quoting.

        Rows have as many cells as the header, and in columns of few values they hold the values of other rows.
        """
        width, misfits, edges = len(self._header), 0, list[int]()  # edges: lines where multi-line cells begin and end
        for line, values in chain(self._records(), [(sys.maxsize, self._header)]):
            if any("\n" in value or "\r" in value for value in values) != len(edges) % 2:
                edges.append(line)
            misfits += len(values) != width
        # For each column: its values on lines outside multi-line cells, and on lines inside.
        counts: list[tuple[Counter[str], Counter[str]]] = [(Counter(), Counter()) for _ in range(width)]
        for line, values in islice(self._records(csv.QUOTE_NONE), 1, None):
            misfits -= len(values) != width
            for column, value in zip(counts, values, strict=False):
                if max(map(len, column)) <= _FEW_VALUES:
                    column[bisect(edges, line) % 2][value] += 1
        if misfits:
            return misfits > 0
        of_few_values = [
            (outside, inside)
            for outside, inside in counts
            if 0 < 2 * len(outside) <= outside.total() and max(len(outside), len(inside)) <= _FEW_VALUES
        ]
        if not of_few_values:
            self._warn(
                f"{fault.reason}, and is read as one cell. If it is several rows, write the table with its cells in "
                "quotation marks"
            )
        return bool(of_few_values) and all(
            sum(number for value, number in inside.items() if value in outside) >= 0.75 * inside.total()
            for outside, inside in of_few_values
        )

    def _warn(self, message: str) -> None:
        warnings.warn(f"{self.path.name}: {message}", JointuneWarning, stacklevel=3)

    def _open(self) -> TextIO:
        # Undecodable bytes become lone surrogates, so that an error can name their row.
        return open(self.path, encoding=self.encoding, errors="surrogateescape", newline="")

    def _records(self, quoting: Quoting = csv.QUOTE_MINIMAL, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of each row, header included, with the number of its first line.

        Raises:
            PostsError: a row is too long or not in the table's encoding.
            _StrictError: with ``strict``, a quoted cell goes on after its closing quotation mark, or is not closed.
        """
        start = self._skipped_lines + 1
        try:
            with _long_fields(), self._open() as file:
                for _ in range(self._skipped_lines):
                    file.readline()
                lines = _Lines(file)
                reader = csv.reader(lines, delimiter=self._delimiter, quoting=quoting, strict=strict)
                number = 0
                for values in reader:
                    lines.characters = 0
                    if values:  # a blank line is no row
                        if not strict:
                            self._check_decoded(number, start, values)
                        yield start, values
                        number += 1
                    start = reader.line_num + self._skipped_lines + 1
        except UnicodeError as reason:
            raise PostsError(
                f"{self.path.name}: the file is not {self.encoding}: {reason}", advice(self.path)
            ) from reason
        except csv.Error as reason:
            if not strict:
                raise PostsError(
                    f"{self.path.name} line {start}: not readable as a table: {reason}", "shorten or correct it"
                ) from reason
            if lines.characters > MOST_CHARACTERS:
                message = f"line {start}: {reason}, perhaps because a quotation mark is not closed"
            else:
                line = reader.line_num + self._skipped_lines
                message = f"line {line}: a cell begins with a quotation mark and does not end with one"
            raise _StrictError(message) from reason

    def _check_decoded(self, number: int, line: int, values: Sequence[str]) -> None:
        for column, value in enumerate(values, 1):
            if not value.isascii() and (bad := UNDECODED.search(value)):
                row = f"row {number}" if number else "the header"
                encoding = self.encoding.replace("utf-8-sig", "UTF-8")
                what = f"column {column}: byte 0x{ord(bad[0]) - 0xDC00:02x} is not {encoding}"
                raise PostsError(f"{self.path.name} {row} (line {line}), {what}", advice(self.path))


class _StrictError(Exception):
    """A table that breaks the rules of quoting."""


class _Lines:
    """The lines of a file for ``csv.reader``, no more of them than a row may have.

    Attributes:
        characters: of the row that is being read; set to 0 after each.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.characters = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(MOST_CHARACTERS + 1)
        if not line:
            raise StopIteration
        self.characters += len(line)
        if self.characters > MOST_CHARACTERS:
            raise csv.Error(f"the row that begins here has more than {MOST_CHARACTERS:,} characters")
        return line


_limit = threading.RLock()
_limit_users = 0
_limit_before = 0


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let ``csv`` read fields of ``MOST_CHARACTERS``; its own limit of 131,072 would refuse a long text.

    ``csv.field_size_limit`` belongs to the whole process: it is raised as long as any table is being read, in any
    thread, and put back when the last one has been read.
    """
    global _limit_users, _limit_before
    with _limit:
        if not _limit_users:
            _limit_before = csv.field_size_limit()
            csv.field_size_limit(max(_limit_before, MOST_CHARACTERS))
        _limit_users += 1
    try:
        yield
    finally:
        with _limit:
            _limit_users -= 1
            if not _limit_users:
                csv.field_size_limit(_limit_before)
