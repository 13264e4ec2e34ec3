"""JSON: one array of objects."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from jointune.data.tables.encoding import advice, file_encoding
from jointune.data.tables.json_lines import JsonlTable, object_row
from jointune.data.tables.table import MOST_CHARACTERS, Row, with_clear_errors
from jointune.errors import PostsError

_BLOCK = 2**20
_BLANKS = " \t\r\n"
_SOME_BLANKS = re.compile(f"[{_BLANKS}]*")


class JsonArrayTable(JsonlTable):
    """A file that holds an array of objects, read one after the other; a key that one lacks is a missing value."""

    @with_clear_errors
    def rows(self) -> Iterator[Row]:
        """Each row in file order; see ``Table.rows``."""
        for number, value in enumerate(self._values(), 1):
            yield object_row(f"{self.path.name} row {number}", value)

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
                    except json.JSONDecodeError as reason:
                        # An object may go on in the next block: ever longer ones, so that none is parsed many times.
                        text = text[place:]
                        more = file.read(max(_BLOCK, len(text))) if len(text) <= MOST_CHARACTERS else ""
                        if not more:
                            raise self._broken(number, reason) from reason
                        text, place = text + more, 0
                        continue
                    except (ValueError, RecursionError) as reason:  # a number of thousands of digits; too deep
                        raise self._broken(number, reason) from reason
                    number += 1
                    yield value
                    place = end + (text[end] == ",")
        except UnicodeError as reason:
            raise PostsError(f"{self.path.name}: not {self.encoding}: {reason}", f"{advice(self.path)}") from reason

    def _broken(self, number: int, reason: Exception) -> PostsError:
        return PostsError(
            f"{self.path.name} row {number + 1}: not an array of JSON objects from here on: {reason}",
            "correct the file",
        )


def _after_blanks(text: str, place: int) -> int:
    found = _SOME_BLANKS.match(text, place)
    return found.end() if found else place


def open_json(path: Path, encoding: str) -> JsonlTable:
    """The table of a ``.json`` file: an array of objects, or one object a line, as some programs write."""
    with open(path, encoding=file_encoding(path, encoding), errors="replace") as file:
        array = file.read(_BLOCK).lstrip(_BLANKS).startswith("[")
    return JsonArrayTable(path, encoding) if array else JsonlTable(path, encoding)
