"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from jointune.errors import PostsError
from jointune.posts.encoding import advice, file_encoding
from jointune.posts.formats.table import Row
from jointune.posts.problems import Problem


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
        if not keys:
            raise PostsError(str(problem))
        return list(keys)

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
                if not isinstance(values, dict):
                    raise ValueError(f"a {type(values).__name__} where an object is needed")
            except (ValueError, RecursionError) as reason:
                remedy = "write one JSON object a line, or remove the row"
                yield Row(where, {}, Problem(where, "the row", f"not a JSON object: {reason}", remedy))
            else:
                yield Row(where, values)

    def _lines(self) -> Iterator[str]:
        if self.encoding.startswith(("utf-16", "utf-32")):  # whose line ends are not the byte of a line end
            try:
                with open(self.path, encoding=self.encoding, newline="\n") as lines:
                    yield from lines
            except UnicodeError as reason:
                raise PostsError(f"{self.path.name}: not {self.encoding}: {reason}; {advice(self.path)}") from reason
            return
        with open(self.path, "rb") as file:
            for line, raw in enumerate(file, 1):
                try:
                    yield raw.decode(self.encoding if line == 1 else self.encoding.removesuffix("-sig"))
                except UnicodeDecodeError as reason:
                    raise PostsError(
                        f"{self.path.name} line {line}: byte 0x{raw[reason.start]:02x} is not {reason.encoding}; "
                        + advice(self.path)
                    ) from reason

    def untyped_rows(self) -> Iterator[Row]:
        """All of them; see ``Table.untyped_rows``."""
        return self.rows()

    def count(self) -> int:
        """The number of rows; reads and checks the whole file."""
        return sum(1 for _ in self.rows())
