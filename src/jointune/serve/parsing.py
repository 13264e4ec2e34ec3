"""From a request's body to posts.

Starlette's and FastAPI's own parsers are not used: they have no bound on the structure of JSON, write files of a form
to the disk, and take a form that is cut off for a whole one.
"""

from typing import Any

from pydantic import ValidationError
from python_multipart.multipart import parse_options_header

from jointune.data.post import Post, RemoteImage
from jointune.modalities.batch import post_parts
from jointune.serve.api_schema import FIELDS, TAGS, Bodies, RequestPost, RequestPosts
from jointune.serve.limits import MAX_CHARACTERS, MAX_IMAGES, MAX_POSTS
from jointune.serve.refusal import Refused
from jointune.utils.wording import listed

JSON, FORM = "application/json", "multipart/form-data"

_MAX_CONTENT_TYPE = 1000  # characters
_MAX_STRUCTURE = 64 * MAX_POSTS
"""Characters of JSON that are neither blank nor in a string: several times what the most posts take. Without a bound, a
body of a million keys or numbers would become gigabytes of objects and errors."""

_CHUNK = 1 << 16  # bytes of JSON that are looked at before other threads run

_MAX_PARTS = 8 + MAX_IMAGES
_MAX_PART_HEADERS = 4096  # bytes
_MAX_BOUNDARY = 70  # RFC 2046
_WINDOW = 1 << 20  # bytes of a form that are searched before other threads run

_FORM_REMEDY = "send multipart/form-data with a field text, a file image, or both"
_REMEDIES = {
    "base64": "encode the picture's file as standard base64, without line breaks",
    "json_invalid": 'send UTF-8 JSON, such as {"text": "what a day"}',
    "too_long": "send several smaller requests",
    "string_too_long": "send less of it",
}


def media_type(content_type: str) -> str:
    """Return ``JSON`` or ``FORM``.

    Raises:
        Refused: 415, it is neither.
    """
    kind = content_type[:_MAX_CONTENT_TYPE].split(";")[0].strip().lower()
    if kind not in (JSON, FORM) or len(content_type) > _MAX_CONTENT_TYPE:
        reason = f"the Content-Type is {kind[:80]!r}" if kind else "there is no Content-Type"
        raise Refused(415, reason, f"send {JSON} or {FORM}")
    return kind


def parse(body: bytearray, content_type: str, bodies: Bodies) -> tuple[list[Post], bool]:
    """Return the posts of a request, and whether they came as a list; ``body`` is emptied, to free its memory.

    Blank texts and empty images count as missing, as in every table of posts.

    Raises:
        Refused: 400 or 422, the body is not what it should be.
    """
    is_form = media_type(content_type) == FORM
    try:
        content = _parse_form(form_fields(body, content_type), bodies) if is_form else _parse_json(body, bodies)
    except ValidationError as error:
        raise _refusal(error, is_form, bodies) from None  # whose context would hold the posts' content
    finally:
        body.clear()
    if isinstance(content, RequestPosts):
        return [_post(post, bodies, f"posts[{number}]: ") for number, post in enumerate(content.posts)], True
    return [_post(content, bodies)], False


def _post(request: RequestPost, bodies: Bodies, place: str = "") -> Post:
    """Return a request's post as all of jointune knows posts."""
    text = (request.text or "").strip() or None
    urls = [RemoteImage(url.strip()) for url in _listed(request.image_url) if url.strip()]
    images = [image for image in _listed(request.image) if image]
    if images and urls:
        raise Refused(422, f"{place}both image and image_url", "send one of them")
    fields = {name: cell for name, cell in (request.fields or {}).items() if cell not in (None, "")}
    parts = post_parts(bodies.inputs, bodies.values(request)) | {"fields": fields}
    post = Post(text=text, image=urls or images, **parts)
    if post.empty and not fields:
        raise Refused(422, f"{place}neither a text nor a picture", "send at least one of them")
    return post


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _parse_json(body: bytearray, bodies: Bodies) -> RequestPost | RequestPosts:
    structure = _structure(body)
    content = bodies.json.validate_json(body)
    posts = content.posts if isinstance(content, RequestPosts) else []
    # Unknown keys were refused, so that those in excess repeat others, of which each reader may take another one.
    keys = sum(len(part.model_fields_set) for part in (content, *posts))
    keys += sum(len(part.fields or ()) for part in (content, *posts) if isinstance(part, RequestPost))
    if structure.count(b":") > keys:
        raise Refused(422, "a key is there twice", "leave one of them out")
    return content


def _structure(body: bytearray) -> bytes:
    """Return JSON without blanks and with a quotation mark in place of each string.

    Raises:
        Refused: 422, there is more of it than any request needs.
    """
    structure, start, in_string = b"", 0, False
    while start < len(body):
        chunk = body[start : start + _CHUNK]
        if (len(chunk) - len(chunk.rstrip(b"\\"))) % 2:
            chunk = body[start : start + _CHUNK + 1]  # whole escapes
        start += len(chunk)
        parts = chunk.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        structure += b'"'.join(parts[in_string::2]).translate(None, b" \t\r\n")
        in_string = in_string != (len(parts) % 2 == 0)
        if len(structure) > _MAX_STRUCTURE:
            raise Refused(422, f"more in the JSON than {MAX_POSTS} posts hold", "send several smaller requests")
    return structure


def _parse_form(fields: list[tuple[str, bytes]], bodies: Bodies) -> RequestPost:
    values: dict[str, Any] = {"image": [content for name, content in fields if name == "image"]}
    for name, content in fields:
        if name == "image":
            continue
        if name in values:
            raise Refused(422, f"{name[:80]}: given twice", "send several posts as JSON, in a list named posts")
        if name not in bodies.files and len(content) > 4 * MAX_CHARACTERS:
            raise Refused(422, f"{name[:80]}: more than {MAX_CHARACTERS:,} characters", "send less of it")
        try:
            values[name] = content if name in bodies.files else content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(422, f"{name[:80]}: not UTF-8", "encode the form as UTF-8") from error
    if "fields" in values:
        values["fields"] = FIELDS.validate_json(values["fields"])
    return bodies.post.model_validate(values)


def form_fields(body: bytearray, content_type: str) -> list[tuple[str, bytes]]:
    """Return the fields of a form with their names, files among them; nothing is written to the disk.

    Raises:
        Refused: 400 or 422, the body is no such form, or has far too many fields.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise Refused(400, f"the Content-Type names no boundary of 1 to {_MAX_BOUNDARY} characters", _FORM_REMEDY)
    delimiter = b"\r\n--" + boundary
    if body and not body.startswith((delimiter, delimiter[2:])):
        raise Refused(400, "the body is not multipart/form-data", _FORM_REMEDY)
    fields: list[tuple[str, bytes]] = []
    place = len(delimiter) - (0 if body.startswith(delimiter) else 2)
    while body[place : place + 2] != b"--":
        head = body.find(b"\r\n\r\n", place, place + _MAX_PART_HEADERS)
        end = _find(body, delimiter, head + 4)
        if end < 0:
            raise Refused(400, "the form is cut off: its last boundary is missing", _FORM_REMEDY)
        if head < 0 or body[place : place + 2] != b"\r\n":
            raise Refused(400, "the body is not multipart/form-data", _FORM_REMEDY)
        name = _field_name(bytes(body[place:head]))
        if name is None:
            raise Refused(400, "a part of the form has no name", _FORM_REMEDY)
        if len(fields) == _MAX_PARTS:
            raise Refused(422, f"the form has more than {_MAX_PARTS} fields", _FORM_REMEDY)
        fields.append((name, bytes(body[head + 4 : end])))
        place = end + len(delimiter)
    return fields


def _find(body: bytearray, delimiter: bytes, start: int) -> int:
    """Do ``body.find`` in steps between which other threads run."""
    for window in range(start, len(body), _WINDOW):
        place = body.find(delimiter, window, window + _WINDOW + len(delimiter) - 1)
        if place >= 0:
            return place
    return -1


def _field_name(headers: bytes) -> str | None:
    for line in headers.split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            name = parse_options_header(value.decode("latin-1"))[1].get(b"name")
            return None if name is None else name.decode("utf-8", "replace")
    return None


def _refusal(error: ValidationError, is_form: bool, bodies: Bodies) -> Refused:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = first["loc"] if is_form else first["loc"][1:]  # without the tag of the union in JSON_BODY
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in path if part not in TAGS
    ).lstrip(".")
    reason, kind = f"{place}: {first['msg']}" if place else first["msg"], first["type"]
    remedy = _REMEDIES.get(kind, "send what /openapi.json describes")
    if kind == "extra_forbidden":
        remedy = f"leave the field out; a post has {listed(bodies.names, len(bodies.names))}"
    return Refused(400 if kind == "json_invalid" else 422, reason, remedy)
