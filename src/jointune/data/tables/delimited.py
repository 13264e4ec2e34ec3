"""CSV and TSV, read as a stream."""

import csv
import re
import sys
import warnings
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Literal, TextIO

from jointune.data.problems import Problem
from jointune.data.tables.encoding import advice, file_encoding
from jointune.data.tables.table import MOST_CHARACTERS, Row, with_clear_errors
from jointune.errors import JointuneWarning, PostsError

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t"}
_BLOCK = 2**20

Quoting = Literal[0, 3]


class DelimitedTable:
    """A CSV or TSV file with a header row.

    Columns without a name are called ``column 3`` and so on. A first line such as ``sep=;``, which Excel writes and
    obeys, names the separator.

    Args:
        path: the file; ``.csv`` may be separated by comma, semicolon, tab or bar, ``.tsv`` by tabs.
        encoding: the file's character encoding; one that its byte-order mark says comes before UTF-8.
        wanted: columns that the caller needs, which decide between separators.

    Raises:
        PostsError: the file is empty, or its header is not in ``encoding``.
    """

    def __init__(self, path: Path, encoding: str, wanted: Sequence[str] = ()) -> None:
        self.path = path
        self.encoding = file_encoding(path, encoding)
        # The module's default of 131,072 characters would refuse a long text.
        csv.field_size_limit(MOST_CHARACTERS)
        self._told = self._told_separator()
        self._delimiter, self._header = self._read_header(wanted)
        self.columns = [name.strip() or f"column {place}" for place, name in enumerate(self._header, 1)]

    @with_clear_errors
    def rows(self) -> Iterator[Row]:
        """Each row in file order; see ``Table.rows``."""
        width = len(self.columns)
        for number, (line, values) in enumerate(self._records(self._quoting)):
            if number == 0:
                continue
            where = f"{self.path.name} row {number} (line {line})"
            if len(values) == width and values != self._header:
                yield Row(where, dict(zip(self.columns, values, strict=True)))
            else:
                if values == self._header:
                    yield Row(where, {}, Problem(where, "the row", "it repeats the header", "remove the row"))
                    continue
                remedy = f"quote fields that contain {self._delimiter!r} or line ends, or remove the row"
                reason = f"it has {len(values)} fields and the header {width}"
                yield Row(where, {}, Problem(where, "the row", reason, remedy))

    def untyped_rows(self) -> Iterator[Row]:
        """All of them; see ``Table.untyped_rows``."""
        return self.rows()

    def count(self) -> int:
        """The number of rows; reads and checks the whole file."""
        return sum(1 for _ in self.rows())

    @cached_property
    def _quoting(self) -> Quoting:
        """Whether quotation marks at the start of cells enclose these, or are characters like any other.

        Tables whose cells were joined without quoting are told by cells that begin with a quotation mark and do not end
        with it: read as quoted, such a cell would swallow the rows that follow. Where a later row happens to end it,
        the table can be read either way, and what the lines say decides.

        Raises:
            PostsError: neither reading fits.
        """
        if not self._has_quotes():
            return csv.QUOTE_NONE
        fault = self._quoting_fault()
        if fault is None:
            return csv.QUOTE_MINIMAL
        width, rows, fitting, enclosed = len(self._header), 0, 0, 0
        for _, values in self._records(csv.QUOTE_NONE):
            if rows == 0 and any(name.lstrip().startswith('"') for name in values):
                width = 0  # nobody encloses the header alone
            rows += 1
            fitting += len(values) == width
            enclosed += any(_ENCLOSED.fullmatch(value) for value in values)
        swallowed = fault.startswith(_SWALLOWED)
        if enclosed <= rows / 2 and (self._lines_are_rows(fault) if swallowed else fitting >= 0.99 * rows):
            warnings.warn(
                f"{self.path.name}: read as a table without quoting, whose quotation marks are characters like any "
                f"other: {fault}",
                JointuneWarning,
                stacklevel=2,
            )
            return csv.QUOTE_NONE
        if swallowed:
            return csv.QUOTE_MINIMAL  # a cell may hold separators and line ends, and nothing speaks for another reading
        raise PostsError(
            f"{self.path.name} {fault}", "write quotation marks within a cell twice, and one around the cell"
        )

    def _lines_are_rows(self, fault: str) -> bool:
        """Whether the lines that cells would take in are rows, in a table that can be read as a quoted one.

        Rows have as many cells as the header, and say in columns of few values what other rows say.
        """
        width, misfits, edges = len(self._header), 0, list[int]()
        for line, values in chain(self._records(), [(sys.maxsize, self._header)]):
            if any("\n" in value or "\r" in value for value in values) != len(edges) % 2:
                edges.append(line)
            misfits += len(values) != width
        # Of each column: how often a line outside of such cells says something, and how often one inside.
        said: list[tuple[Counter[str], Counter[str]]] = [(Counter(), Counter()) for _ in range(width)]
        for line, values in islice(self._records(csv.QUOTE_NONE), 1, None):
            misfits -= len(values) != width
            for counts, value in zip(said, values, strict=False):
                if len(counts[0]) <= _FEW_VALUES and len(counts[1]) <= _FEW_VALUES:
                    counts[bisect(edges, line) % 2][value] += 1
        if misfits:
            return misfits > 0
        telling = [
            (outside, within)
            for outside, within in said
            if 0 < 2 * len(outside) <= outside.total() and max(len(outside), len(within)) <= _FEW_VALUES
        ]
        if not telling:
            warnings.warn(
                f"{self.path.name}: {fault}, and is read as one cell. If it is several rows, write the table with its "
                "cells in quotation marks",
                JointuneWarning,
                stacklevel=2,
            )
        return bool(telling) and all(
            sum(number for value, number in within.items() if value in outside) >= 0.75 * within.total()
            for outside, within in telling
        )

    def _has_quotes(self) -> bool:
        with open(self.path, "rb") as file:
            return any(b'"' in block for block in iter(lambda: file.read(_BLOCK), b""))

    def _quoting_fault(self) -> str | None:
        """Where the table cannot be, or hardly is, one with quoting, if anywhere."""
        with self._open() as file:
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            may_swallow = self._delimiter in ",;"  # separators and line ends are usual in a text
            before = 0
            try:
                for values in reader:
                    lines.characters = 0
                    if (
                        not may_swallow
                        and reader.line_num > before + 1
                        and any(self._delimiter in value and ("\n" in value or "\r" in value) for value in values)
                    ):
                        return f"{_SWALLOWED} {before + self._first} holds separators and line ends"
                    before = reader.line_num
            except csv.Error:
                if lines.characters > MOST_CHARACTERS:
                    return (
                        f"line {before + self._first}: the row that begins here has more than {MOST_CHARACTERS:,} "
                        "characters, perhaps because a quotation mark is not closed"
                    )
                line = reader.line_num + self._first - 1
                return f"line {line}: a cell begins with a quotation mark and does not end with one"
            except UnicodeError:
                pass  # told where the rows are read
            return None

    def _open(self, errors: str = "strict") -> TextIO:
        file = open(self.path, encoding=self.encoding, errors=errors, newline="")  # noqa: SIM115
        if self._told:
            file.readline()
        return file

    @property
    def _first(self) -> int:
        """The number of the header's line."""
        return 2 if self._told else 1

    def _records(self, quoting: Quoting = csv.QUOTE_MINIMAL, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
        first = start = self._first
        try:
            with self._open(errors) as file:
                lines = _Lines(file)
                reader = csv.reader(lines, delimiter=self._delimiter, quoting=quoting)
                for values in reader:
                    lines.characters = 0
                    if values:  # a blank line is no row
                        yield start, values
                    start = reader.line_num + first
        except UnicodeError as reason:
            raise PostsError(self._undecodable(reason, quoting)) from reason
        except csv.Error as reason:
            raise PostsError(f"{self.path.name} line {start}: not readable as a table: {reason}") from reason

    def _told_separator(self) -> str | None:
        with open(self.path, encoding=self.encoding, errors="replace", newline="") as file:
            try:
                told = re.fullmatch(r'"?sep=(.)"?[\r\n]*', file.readline(16))
            except UnicodeError:
                return None  # told where the header is read
        return told and told[1]

    def _read_header(self, wanted: Sequence[str]) -> tuple[str, list[str]]:
        headers = {}
        for delimiter in self._told or _DELIMITERS.get(self.path.suffix.lower(), ","):
            self._delimiter = delimiter
            # The file is read in blocks: a byte far below the header must not keep it from being read.
            _, headers[delimiter] = next(self._records(errors="replace"), (1, []))
        # The first separator wins unless another one brings more of the wanted columns, or any columns, to light.
        delimiter = max(headers, key=lambda candidate: _worth([name.strip() for name in headers[candidate]], wanted))
        header = headers[delimiter]
        if not header:
            raise PostsError(f"{self.path.name}: the file is empty", "its first line must name the columns")
        self._delimiter = delimiter
        if any("\ufffd" in name for name in header):
            next(self._records(), None)  # names the byte
        return delimiter, header

    def _undecodable(self, reason: UnicodeError, quoting: Quoting) -> str:
        remedy = advice(self.path)
        if self.encoding != "utf-8-sig":
            why = reason.reason if isinstance(reason, UnicodeDecodeError) else reason
            return f"{self.path.name}: the file is not {self.encoding}: {why}; {remedy}"
        # Read again with undecodable bytes kept as lone surrogates, to name the row that holds the first of them.
        for number, (line, values) in enumerate(self._records(quoting, "surrogateescape")):
            for column, value in enumerate(values):
                bad = next((character for character in value if "\udc80" <= character <= "\udcff"), None)
                if bad is not None:
                    row = f"row {number}" if number else "the header"
                    what = f"column {column + 1}: byte 0x{ord(bad) - 0xDC00:02x} is not UTF-8"
                    return f"{self.path.name} {row} (line {line}), {what}; {remedy}"
        return f"{self.path.name}: the file is not UTF-8; {remedy}"


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
            raise csv.Error(f"the row that begins here has more than {MOST_CHARACTERS:,} characters; shorten it")
        return line


_FEW_VALUES = 1000
_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')
_SWALLOWED = "the cell that begins on line"


def _worth(header: Sequence[str], wanted: Sequence[str]) -> tuple[int, bool]:
    return sum(name in header for name in wanted), len(header) > 1
