"""JSON: one object a line, or one array of objects."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from jointune.data.problems import Problem
from jointune.data.tables.encoding import UNDECODED, advice, file_encoding
from jointune.data.tables.table import MOST_CHARACTERS, MOST_COLUMNS, MOST_DEPTH, Row, Table
from jointune.errors import PostsError

_BLOCK = 2**20
_BLANKS = " \t\r\n"
_SOME_BLANKS = re.compile(f"[{_BLANKS}]*")


class JsonlTable(Table):
    """A file with one JSON object a line; a key that a line lacks is a missing value."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path = path
        self.encoding = file_encoding(path, encoding)

    @cached_property
    def columns(self) -> list[str]:  # type: ignore[override]
        """Every key of any line, in order of first appearance; the whole file is read for it."""
        keys: dict[str, None] = {}
        problem: object = f"{self.path.name}: the file is empty; write one JSON object a line"
        for row in self.rows():
            keys |= dict.fromkeys(row.values)
            problem = row.problem or problem
            if len(keys) > MOST_COLUMNS:
                break  # ``open_table`` refuses them
        if not keys:
            raise PostsError(str(problem))
        return list(keys)

    def _rows(self) -> Iterator[Row]:
        number = 0
        for line, text in enumerate(self._lines(), 1):
            if not text.strip():
                continue
            number += 1
            where = f"{self.path.name} row {number} (line {line})"
            try:
                yield _object_row(where, json.loads(text))
            except (ValueError, RecursionError) as reason:
                yield _no_object(where, str(reason))

    def _lines(self) -> Iterator[str]:
        # Undecodable bytes become lone surrogates, so that the error names their line.
        with open(self.path, encoding=self.encoding, errors="surrogateescape", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(MOST_CHARACTERS + 1), ""), 1):
                if len(line) > MOST_CHARACTERS:
                    raise PostsError(
                        f"{self.path.name}: a line is longer than {MOST_CHARACTERS:,} characters",
                        "write one JSON object a line",
                    )
                if not line.isascii() and (bad := UNDECODED.search(line)):
                    what = f"byte 0x{ord(bad[0]) - 0xDC00:02x} is not {self.encoding.removesuffix('-sig')}"
                    raise PostsError(f"{self.path.name} line {number}: {what}", advice(self.path))
                yield line


class JsonArrayTable(JsonlTable):
    """A file that holds an array of objects, read one after the other; a key that one lacks is a missing value."""

    def _rows(self) -> Iterator[Row]:
        for number, value in enumerate(self._values(), 1):
            yield _object_row(f"{self.path.name} row {number}", value)

    def _values(self) -> Iterator[object]:
        decode = json.JSONDecoder().raw_decode
        number = place = 0
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

    def _broken(self, number: int, reason: Exception) -> PostsError:
        return PostsError(
            f"{self.path.name} row {number + 1}: not an array of JSON objects from here on: {reason}",
            "correct the file",
        )


def open_json(path: Path, encoding: str) -> JsonlTable:
    """Open a ``.json`` file: an array of objects, or one object a line, as some programs write."""
    with open(path, encoding=file_encoding(path, encoding), errors="replace") as file:
        array = file.read(_BLOCK).lstrip(_BLANKS).startswith("[")
    return JsonArrayTable(path, encoding) if array else JsonlTable(path, encoding)


def _after_blanks(text: str, place: int) -> int:
    match = _SOME_BLANKS.match(text, place)
    return match.end() if match else place


def _object_row(where: str, value: object) -> Row:
    if not isinstance(value, dict):
        return _no_object(where, f"a {type(value).__name__} where an object is needed")
    if _is_deeper(value, MOST_DEPTH):
        return _no_object(where, f"it has more than {MOST_DEPTH} lists or objects within each other")
    return Row(where, value)


def _no_object(where: str, reason: str) -> Row:
    remedy = "write one JSON object for each post, or remove the row"
    return Row(where, {}, Problem(where, "the row", f"not a JSON object: {reason}", remedy))


def _is_deeper(value: object, most: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return most == 0 or any(
        _is_deeper(inner, most - 1) for inner in (value.values() if isinstance(value, dict) else value)
    )
