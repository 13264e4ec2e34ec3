"""Multipart bodies, taken apart in memory: nothing is written to disk."""

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from jointune.serve.refusal import Refused

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_PARTS = 8
_REMEDY = "send multipart/form-data with a field text, a file image, or both"


def form_fields(body: bytes, content_type: str) -> dict[str, bytes]:
    """The fields of a form, by name; files are fields too.

    Raises:
        Refused: 400 or 422, the body is no such form, names a field twice, or has far too many.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Refused(400, "the Content-Type names no boundary", _REMEDY)
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as reason:
        raise Refused(400, "the body is not multipart/form-data", _REMEDY) from reason
    if not form.ended:
        raise Refused(400, "the form is cut off: its last boundary is missing", _REMEDY)
    return form.fields


class _Form:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.fields: dict[str, bytes] = {}
        self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def _begin(self) -> None:
        if len(self.fields) >= _MOST_PARTS:
            raise Refused(422, f"the form has more than {_MOST_PARTS} fields", _REMEDY)
        self._name: str | None = None
        self._header, self._value, self._content = bytearray(), bytearray(), bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            options = parse_options_header(self._value.decode("latin-1"))[1]
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._header, self._value = bytearray(), bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _end(self) -> None:
        if self._name is None:
            raise Refused(400, "a part of the form has no name", _REMEDY)
        if self._name in self.fields:
            raise Refused(422, f"{self._name[:80]}: given twice", "send several posts as JSON, in a list named posts")
        self.fields[self._name] = bytes(self._content)

    def _all(self) -> None:
        self.ended = True
