"""Two pages for a browser: the model, and how to call it. No script, and nothing from another server."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from starlette.responses import HTMLResponse

from jointune.inference.predictor import Predictor
from jointune.serve.limits import MAX_POSTS

_STYLE = files("jointune.serve").joinpath("pages.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    # The browser then loads nothing but the page's own style.
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def home_page(predictor: Predictor, address: str, with_token: bool) -> HTMLResponse:
    """Return the page about the model, its labels, and how to call it.

    It tells nothing of the model if clients must show a token, which a browser cannot. ``address`` is that of the
    service, as the browser reached it, with a slash at its end.
    """
    token, about, card = "", "", ""
    if with_token:
        token = ' -H "Authorization: Bearer $JOINTUNE_TOKEN"'
        heading = "<h1>A jointune model</h1><p>With the token, <code>/model</code> says which model this is.</p>"
    else:
        title = next((line[2:] for line in predictor.card.splitlines() if line.startswith("# ")), "A jointune model")
        labels = "".join(f"<li>{escape(str(label))}</li>" for label in predictor.labels)
        heading = f"<h1>{escape(title)}</h1><p>Labels:</p><ul class=labels>{labels}</ul>"
        about = "<p><a href=model>Labels, versions, settings and scores</a> as JSON.</p>"
        if predictor.card:
            card = f"<details><summary>The model card</summary>{_code(predictor.card)}</details>"
    form = f"curl{token} -F text='what a day' -F image=@picture.jpg {address}predict"
    posts = '{"posts": [{"text": "what a day"}, {"text": "no picture here"}]}'
    json_call = f"curl{token} -H 'Content-Type: application/json' \\\n  -d '{posts}' {address}predict"
    return _page(
        "jointune",
        f"{heading}<h2>Ask it</h2><p>A post has a text, a picture, or both:</p>{_code(form)}"
        f"<p>Up to {MAX_POSTS} posts at once as JSON, pictures in base64:</p>{_code(json_call)}"
        "<p><a href=docs>All requests, answers and errors</a>; the same as <a href=openapi.json>OpenAPI</a>.</p>"
        f"{about}{card}",
    )


def docs_page(openapi: Mapping[str, Any]) -> HTMLResponse:
    """Return the page about all requests and answers, from the service's OpenAPI description."""
    return _page("How to call it", "".join(_operations(openapi)))


def _operations(openapi: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h1>How to call it</h1><p>{_marked(openapi['info']['description'])}</p>"
    yield "<p><a href=.>The model</a>; this page as <a href=openapi.json>OpenAPI</a>.</p>"
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            yield f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
            yield f"<p>{_marked(operation.get('description', ''))}</p>"
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"<h3>Body: <code>{escape(media_type)}</code></h3><table>"
                for name, description in _properties(content["schema"], openapi).items():
                    yield f"<tr><th><code>{escape(name)}</code></th><td>{_marked(description)}</td></tr>"
                yield "</table>"
                yield from _examples(content)
            yield "<h3>Answers</h3>"
            for status, response in operation["responses"].items():
                yield f"<h4>{escape(status)} <span>{_marked(response['description'])}</span></h4>"
                for content in response.get("content", {}).values():
                    yield from _examples(content)


def _properties(schema: Mapping[str, Any], openapi: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties of all objects that a schema allows, with their descriptions."""
    if "$ref" in schema:
        return _properties(openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]], openapi)
    properties = {name: about.get("description", "") for name, about in schema.get("properties", {}).items()}
    for alternative in schema.get("anyOf", []):
        properties |= _properties(alternative, openapi)
    return properties


def _examples(content: Mapping[str, Any]) -> Iterator[str]:
    examples = content.get("examples") or ({"": {"value": content["example"]}} if "example" in content else {})
    for name, example in examples.items():
        value = example["value"]
        yield f"<p class=name>{escape(name)}</p>" if name else ""
        yield _code(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))


def _marked(text: str) -> str:
    """Return plain text as HTML, with code between backticks."""
    parts = escape(" ".join(text.split())).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _code(text: str) -> str:
    return f"<pre tabindex=0><code>{escape(text)}</code></pre>"


def _page(title: str, body: str) -> HTMLResponse:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return HTMLResponse(
        f"<!doctype html><html lang=en><head>{head}<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>",
        headers=_HEADERS,
    )
