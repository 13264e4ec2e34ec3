"""JSON: one array of objects."""

import json
from collections.abc import Iterator
from pathlib import Path

from jointune.errors import PostsError
from jointune.posts.encoding import advice, file_encoding
from jointune.posts.formats.jsonl import JsonlTable
from jointune.posts.formats.table import Row
from jointune.posts.problems import Problem

_BLOCK = 2**20
_BLANKS = " \t\r\n"


class JsonArrayTable(JsonlTable):
    """A file that holds an array of objects, read one after the other; a key that one lacks is a missing value."""

    def rows(self) -> Iterator[Row]:
        """Each row in file order; see ``Table.rows``."""
        number = 0
        for number, value in enumerate(self._values(), 1):
            where = f"{self.path.name} row {number}"
            if isinstance(value, dict):
                yield Row(where, value)
            else:
                reason = f"a {type(value).__name__} where an object is needed"
                yield Row(where, {}, Problem(where, "the row", reason, "write an object, or remove the row"))

    def _values(self) -> Iterator[object]:
        decode = json.JSONDecoder().raw_decode
        number = place = 0
        try:
            with open(self.path, encoding=self.encoding) as file:
                text = file.read(_BLOCK).lstrip(_BLANKS).removeprefix("[")
                while True:
                    place = _after_blanks(text, place)
                    if text.startswith("]", place):
                        return
                    try:
                        value, end = decode(text, place)
                        end = _after_blanks(text, end)
                        if text[end : end + 1] not in (",", "]"):
                            raise json.JSONDecodeError("no comma after the object", text, end)
                    except (json.JSONDecodeError, RecursionError) as reason:
                        # An object may go on in the next block: ever longer ones, so that none is parsed many times.
                        text = text[place:]
                        more = file.read(max(_BLOCK, len(text)))
                        if not more:
                            raise PostsError(
                                f"{self.path.name} row {number + 1}: not an array of JSON objects from here on: "
                                f"{reason}; correct the file"
                            ) from reason
                        text, place = text + more, 0
                        continue
                    number += 1
                    yield value
                    place = end + (text[end] == ",")
        except UnicodeError as reason:
            raise PostsError(f"{self.path.name}: not {self.encoding}: {reason}; {advice(self.path)}") from reason


def _after_blanks(text: str, place: int) -> int:
    while text[place : place + 1] in _BLANKS and place < len(text):
        place += 1
    return place


def open_json(path: Path, encoding: str) -> JsonlTable:
    """The table of a ``.json`` file: an array of objects, or one object a line, as some programs write."""
    with open(path, encoding=file_encoding(path, encoding), errors="replace") as file:
        array = file.read(_BLOCK).lstrip(_BLANKS).startswith("[")
    return JsonArrayTable(path, encoding) if array else JsonlTable(path, encoding)
