"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from jointune.errors import PostsError
from jointune.posts.formats.table import Row
from jointune.posts.problems import Problem


class JsonlTable:
    """A file with one JSON object a line; a key that a line lacks is a missing value."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path = path
        self.encoding = encoding

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
        with open(self.path, "rb") as file:
            for line, raw in enumerate(file, 1):
                where = f"{self.path.name} row {number + 1} (line {line})"
                try:
                    text = raw.decode(self.encoding if line == 1 else self.encoding.removesuffix("-sig"))
                except UnicodeDecodeError as reason:
                    raise PostsError(
                        f"{where}: byte 0x{raw[reason.start]:02x} is not {reason.encoding}; "
                        "save the file as UTF-8, or name its encoding, such as --encoding cp1252"
                    ) from reason
                if not text.strip():
                    continue
                number += 1
                try:
                    values = json.loads(text)
                    if not isinstance(values, dict):
                        raise ValueError(f"a {type(values).__name__} where an object is needed")
                except (ValueError, RecursionError) as reason:
                    remedy = "write one JSON object a line, or remove the row"
                    yield Row(where, {}, Problem(where, "the row", f"not a JSON object: {reason}", remedy))
                else:
                    yield Row(where, values)

    def untyped_rows(self) -> Iterator[Row]:
        """All of them; see ``Table.untyped_rows``."""
        return self.rows()

    def count(self) -> int:
        """The number of rows; reads and checks the whole file."""
        return sum(1 for _ in self.rows())
