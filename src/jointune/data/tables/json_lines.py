"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from jointune.data.problems import Problem
from jointune.data.tables.encoding import advice, file_encoding
from jointune.data.tables.table import MOST_CHARACTERS, MOST_COLUMNS, MOST_DEPTH, Row, with_clear_errors
from jointune.errors import PostsError


class JsonlTable:
    """A file with one JSON object a line; a key that a line lacks is a missing value."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path = path
        self.encoding = file_encoding(path, encoding)

    @cached_property
    def columns(self) -> list[str]:
        """Every key of any line, in order of first appearance; reads the whole file.

        Raises:
            PostsError: there is no object in the file, or what ``rows`` raises.
        """
        keys: dict[str, None] = {}
        problem: object = f"{self.path.name}: the file is empty; write one JSON object a line"
        for row in self.rows():
            keys |= dict.fromkeys(row.values)
            problem = row.problem or problem
            if len(keys) > MOST_COLUMNS:
                break  # refused by whoever opens a table
        if not keys:
            raise PostsError(str(problem))
        return list(keys)

    @with_clear_errors
    def rows(self) -> Iterator[Row]:
        """Each row in file order; see ``Table.rows``."""
        number = 0
        for line, text in enumerate(self._lines(), 1):
            if not text.strip():
                continue
            number += 1
            where = f"{self.path.name} row {number} (line {line})"
            try:
                values = json.loads(text)
            except (ValueError, RecursionError) as reason:
                yield Row(where, {}, _no_object(where, str(reason)))
            else:
                yield object_row(where, values)

    def _lines(self) -> Iterator[str]:
        if self.encoding.startswith(("utf-16", "utf-32")):  # whose line ends are not the byte of a line end
            try:
                with open(self.path, encoding=self.encoding, newline="\n") as file:
                    for line in iter(lambda: file.readline(MOST_CHARACTERS + 1), ""):
                        self._refuse_long(line)
                        yield line
            except UnicodeError as reason:
                raise PostsError(f"{self.path.name}: not {self.encoding}: {reason}", f"{advice(self.path)}") from reason
            return
        with open(self.path, "rb") as raw_file:
            for number, raw in enumerate(iter(lambda: raw_file.readline(MOST_CHARACTERS + 1), b""), 1):
                self._refuse_long(raw)
                try:
                    yield raw.decode(self.encoding if number == 1 else self.encoding.removesuffix("-sig"))
                except UnicodeError as reason:
                    what = str(reason)
                    if isinstance(reason, UnicodeDecodeError):
                        what = f"byte 0x{raw[reason.start]:02x} is not {reason.encoding}"
                    raise PostsError(f"{self.path.name} line {number}: {what}", f"{advice(self.path)}") from reason

    def _refuse_long(self, line: str | bytes) -> None:
        if len(line) > MOST_CHARACTERS:
            raise PostsError(
                f"{self.path.name}: a line is longer than {MOST_CHARACTERS:,} characters",
                "write one JSON object a line",
            )

    def untyped_rows(self) -> Iterator[Row]:
        """All of them; see ``Table.untyped_rows``."""
        return self.rows()

    def count(self) -> int:
        """The number of rows; reads and checks the whole file."""
        return sum(1 for _ in self.rows())


def object_row(where: str, value: object) -> Row:
    """The row of a JSON value, with what is wrong with one that can be none."""
    if not isinstance(value, dict):
        return Row(where, {}, _no_object(where, f"a {type(value).__name__} where an object is needed"))
    if _deeper(value, MOST_DEPTH):
        return Row(where, {}, _no_object(where, f"it has more than {MOST_DEPTH} lists or objects within each other"))
    return Row(where, value)


def _no_object(where: str, reason: str) -> Problem:
    remedy = "write one JSON object for each post, or remove the row"
    return Problem(where, "the row", f"not a JSON object: {reason}", remedy)


def _deeper(value: object, most: int) -> bool:
    """Whether more than ``most`` lists and objects lie within each other."""
    if not isinstance(value, dict | list):
        return False
    return most == 0 or any(
        _deeper(inner, most - 1) for inner in (value.values() if isinstance(value, dict) else value)
    )
