"""A request's body to posts."""

from pydantic import ValidationError

from jointune.serve.forms import form_fields
from jointune.serve.limits import MAX_CHARACTERS, MAX_POSTS
from jointune.serve.refusal import Refused
from jointune.serve.schema import GIVEN, GivenPost, GivenPosts

JSON, FORM = "application/json", "multipart/form-data"

_LONGEST_TYPE = 1000
"""Characters of a Content-Type."""

_MOST_VALUES = 64 * MAX_POSTS
"""Characters of JSON that are neither blank nor in a string: several times what the most posts take. Without a bound, a
body of a million keys or numbers would become gigabytes of objects and errors."""

_CHUNK = 1 << 16
"""Bytes that are looked at before other threads run."""

_REMEDIES = {
    "base64": "encode the picture's file as standard base64, without line breaks",
    "json_invalid": 'send UTF-8 JSON, such as {"text": "what a day"}',
    "too_long": "send several smaller requests",
    "string_too_long": "send less of it",
    "extra_forbidden": "leave the field out; a post has text, image and image_url",
}
_REMEDY = "send what /openapi.json describes"


def media_type(content_type: str) -> str:
    """``JSON`` or ``FORM``.

    Raises:
        Refused: 415, it is neither.
    """
    kind = content_type[:_LONGEST_TYPE].split(";")[0].strip().lower()
    if kind not in (JSON, FORM) or len(content_type) > _LONGEST_TYPE:
        raise Refused(
            415, f"the Content-Type is {kind[:80]!r}" if kind else "there is no Content-Type", f"send {JSON} or {FORM}"
        )
    return kind


def parse(body: bytearray, content_type: str) -> tuple[list[GivenPost], bool]:
    """The posts of a request, and whether they came as a list.

    Blank texts and empty pictures count as missing, as in every table of posts.

    Args:
        body: emptied, so that its memory is free again.
        content_type: of the body.

    Raises:
        Refused: 400 or 422, the body is not what it should be.
    """
    form = media_type(content_type) == FORM
    try:
        given = _from_form(form_fields(body, content_type)) if form else _from_json(body)
    except ValidationError as reason:
        raise _refusal(reason, tagged=not form) from None  # whose context would hold the posts' content
    finally:
        body.clear()
    if isinstance(given, GivenPosts):
        posts = [_clean(post, f"posts[{number}]: ") for number, post in enumerate(given.posts)]
        return posts, True
    return [_clean(given)], False


def _from_json(body: bytearray) -> GivenPost | GivenPosts:
    structure = _structure(body)
    given = GIVEN.validate_json(body)
    posts = given.posts if isinstance(given, GivenPosts) else []
    # Unknown keys were refused, so that those in excess repeat others, of which each reader may take another one.
    if structure.count(b":") > sum(len(one.model_fields_set) for one in (given, *posts)):
        raise Refused(422, "a key is given twice", "leave one of them out")
    return given


def _structure(body: bytearray) -> bytes:
    """JSON without blanks and without its strings, of each of which a quotation mark is left.

    Raises:
        Refused: 422, there is more of it than any request needs.
    """
    found, start, inside = b"", 0, False
    while start < len(body):
        chunk = body[start : start + _CHUNK]
        if (len(chunk) - len(chunk.rstrip(b"\\"))) % 2:
            chunk = body[start : start + _CHUNK + 1]  # whole escapes
        start += len(chunk)
        parts = chunk.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        found += b'"'.join(parts[inside::2]).translate(None, b" \t\r\n")
        inside = inside != (len(parts) % 2 == 0)
        if len(found) > _MOST_VALUES:
            raise Refused(422, f"more in the JSON than {MAX_POSTS} posts hold", "send several smaller requests")
    return found


def _from_form(fields: dict[str, bytes]) -> GivenPost:
    values: dict[str, str | bytes] = {}
    for name, content in fields.items():
        if name != "image" and len(content) > 4 * MAX_CHARACTERS:
            raise Refused(422, f"{name[:80]}: more than {MAX_CHARACTERS:,} characters", "send less of it")
        try:
            values[name] = content if name == "image" else content.decode("utf-8")
        except UnicodeDecodeError as reason:
            raise Refused(422, f"{name[:80]}: not UTF-8", "encode the form as UTF-8") from reason
    return GivenPost.model_validate(values)


def _clean(post: GivenPost, where: str = "") -> GivenPost:
    text = (post.text or "").strip() or None
    url = (post.image_url or "").strip() or None
    image = post.image or None
    if image and url:
        raise Refused(422, f"{where}both image and image_url", "send one of them")
    if not (text or image or url):
        raise Refused(422, f"{where}neither a text nor a picture", "send at least one of them")
    return GivenPost.model_construct(text=text, image=image, image_url=url)


def _refusal(error: ValidationError, tagged: bool) -> Refused:
    """``tagged``: whether each place begins with the kind of body that it was taken for."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = first["loc"][1:] if tagged else first["loc"]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in place).lstrip(".")
    reason = f"{where}: {first['msg']}" if where else first["msg"]
    kind = first["type"]
    return Refused(400 if kind == "json_invalid" else 422, reason, _REMEDIES.get(kind, _REMEDY))
