"""Multipart bodies, taken apart in memory: nothing is written to disk, and little time is spent on what is refused."""

from python_multipart.multipart import parse_options_header

from jointune.serve.refusal import Refused

_MOST_PARTS = 8
_LONGEST_HEAD = 4096
_LONGEST_BOUNDARY = 70  # RFC 2046
_WINDOW = 1 << 20
"""Bytes that are searched at a time: other threads wait that long."""

_REMEDY = "send multipart/form-data with a field text, a file image, or both"


def form_fields(body: bytearray, content_type: str) -> dict[str, bytes]:
    """The fields of a form, by name; files are fields too.

    Raises:
        Refused: 400 or 422, the body is no such form, names a field twice, or has far too many.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise Refused(400, f"the Content-Type names no boundary of 1 to {_LONGEST_BOUNDARY} characters", _REMEDY)
    delimiter = b"\r\n--" + boundary
    fields: dict[str, bytes] = {}
    place = len(delimiter) - (0 if body.startswith(delimiter) else 2)
    if body and not body.startswith((delimiter, delimiter[2:])):
        raise Refused(400, "the body is not multipart/form-data", _REMEDY)
    while body[place : place + 2] != b"--":
        head = body.find(b"\r\n\r\n", place, place + _LONGEST_HEAD)
        end = _find(body, delimiter, head + 4)
        if end < 0:
            raise Refused(400, "the form is cut off: its last boundary is missing", _REMEDY)
        if head < 0 or body[place : place + 2] != b"\r\n":
            raise Refused(400, "the body is not multipart/form-data", _REMEDY)
        name = _name(bytes(body[place:head]))
        if name is None:
            raise Refused(400, "a part of the form has no name", _REMEDY)
        if name in fields:
            raise Refused(422, f"{name[:80]}: given twice", "send several posts as JSON, in a list named posts")
        if len(fields) == _MOST_PARTS:
            raise Refused(422, f"the form has more than {_MOST_PARTS} fields", _REMEDY)
        fields[name] = bytes(body[head + 4 : end])
        place = end + len(delimiter)
    return fields


def _find(body: bytearray, what: bytes, start: int) -> int:
    """``body.find``, in steps between which other threads run."""
    for place in range(start, len(body), _WINDOW):
        found = body.find(what, place, place + _WINDOW + len(what) - 1)
        if found >= 0:
            return found
    return -1


def _name(head: bytes) -> str | None:
    """The name that the headers of a part give it."""
    for line in head.split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            name = parse_options_header(value.decode("latin-1"))[1].get(b"name")
            return None if name is None else name.decode("utf-8", "replace")
    return None
