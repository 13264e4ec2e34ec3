"""CSV and TSV, read as a stream."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from jointune.errors import PostsError
from jointune.posts.formats.table import Row
from jointune.posts.problems import Problem

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t"}


class DelimitedTable:
    """A CSV or TSV file with a header row.

    Args:
        path: the file; ``.csv`` may be separated by comma, semicolon, tab or bar, ``.tsv`` by tabs.
        encoding: the file's character encoding.
        wanted: columns that the caller needs, which decide between separators.

    Raises:
        PostsError: the file is empty, or its header is not in ``encoding``.
    """

    def __init__(self, path: Path, encoding: str, wanted: Sequence[str] = ()) -> None:
        self.path = path
        self.encoding = encoding
        # The module's default of 131,072 characters would refuse a long text.
        csv.field_size_limit(2**31 - 1)
        self._delimiter, self.columns = self._read_header(wanted)

    def rows(self) -> Iterator[Row]:
        """Each row in file order; see ``Table.rows``."""
        width = len(self.columns)
        for number, (line, values) in enumerate(self._records()):
            if number == 0:
                continue
            where = f"{self.path.name} row {number} (line {line})"
            if len(values) == width:
                yield Row(where, dict(zip(self.columns, values, strict=True)))
            else:
                remedy = f"quote fields that contain {self._delimiter!r} or line ends, or remove the row"
                reason = f"it has {len(values)} fields and the header {width}"
                yield Row(where, {}, Problem(where, "the row", reason, remedy))

    def untyped_rows(self) -> Iterator[Row]:
        """All of them; see ``Table.untyped_rows``."""
        return self.rows()

    def count(self) -> int:
        """The number of rows; reads and checks the whole file."""
        return sum(1 for _ in self.rows())

    def _records(self, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
        try:
            with open(self.path, encoding=self.encoding, errors=errors, newline="") as file:
                reader = csv.reader(file, delimiter=self._delimiter, strict=False)
                start = 1
                for values in reader:
                    if values:  # a blank line is no row
                        yield start, values
                    start = reader.line_num + 1
        except UnicodeDecodeError as reason:
            raise PostsError(self._undecodable(reason)) from reason
        except csv.Error as reason:
            raise PostsError(f"{self.path.name} line {reader.line_num}: not readable as a table: {reason}") from reason

    def _read_header(self, wanted: Sequence[str]) -> tuple[str, list[str]]:
        headers = {}
        for delimiter in _DELIMITERS.get(self.path.suffix.lower(), ","):
            self._delimiter = delimiter
            # The file is read in blocks: a byte far below the header must not keep it from being read.
            _, headers[delimiter] = next(self._records("replace"), (1, []))
        # The first separator wins unless another one brings more of the wanted columns to light.
        delimiter = max(headers, key=lambda candidate: sum(name in headers[candidate] for name in wanted))
        header = headers[delimiter]
        if not header:
            raise PostsError(f"{self.path.name}: the file is empty; its first line must name the columns")
        self._delimiter = delimiter
        if any("\ufffd" in name for name in header):
            next(self._records(), None)  # names the byte
        return delimiter, [name.strip() for name in header]

    def _undecodable(self, reason: UnicodeDecodeError) -> str:
        remedy = "save the file as UTF-8, or name its encoding, such as --encoding cp1252"
        if self.encoding != "utf-8-sig":
            return f"{self.path.name}: the file is not {self.encoding}: {reason.reason}; {remedy}"
        # Read again with undecodable bytes kept as lone surrogates, to name the row that holds the first of them.
        with open(self.path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            start = 1
            for number, values in enumerate(record for record in reader if record):
                for column, value in enumerate(values):
                    bad = next((character for character in value if "\udc80" <= character <= "\udcff"), None)
                    if bad is not None:
                        row = f"row {number}" if number else "the header"
                        what = f"column {column + 1}: byte 0x{ord(bad) - 0xDC00:02x} is not UTF-8"
                        return f"{self.path.name} {row} (line {start}), {what}; {remedy}"
                start = reader.line_num + 1
        return f"{self.path.name}: the file is not UTF-8; {remedy}"
