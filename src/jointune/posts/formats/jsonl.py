"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from jointune.errors import PostsError
from jointune.posts.formats.table import Row


class JsonlTable:
    """A file with one JSON object a line; a key that a line lacks is a missing value."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        self.encoding = encoding or "utf-8-sig"

    @cached_property
    def columns(self) -> list[str]:
        """Every key of any line, in order of first appearance; reads the whole file."""
        return list(dict.fromkeys(key for _, values in self.rows() for key in values))

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
                try:
                    values = json.loads(text)
                except ValueError as reason:
                    raise PostsError(f"{where}: not JSON: {reason}; write one object a line") from reason
                if not isinstance(values, dict):
                    raise PostsError(f"{where}: a JSON {type(values).__name__} where an object is needed")
                number += 1
                yield Row(where, values)

    def count(self) -> int:
        """The number of rows; reads and checks the whole file."""
        return sum(1 for _ in self.rows())
