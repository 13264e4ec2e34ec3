"""Two pages for a browser: what is served, and how to ask it. No script, and nothing from another server."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from starlette.responses import HTMLResponse

from jointune.inference.predictor import Predictor

_STYLE = files("jointune.serve").joinpath("pages.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    # The browser itself then loads nothing but the page's own style.
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def home_page(predictor: Predictor, address: str, with_token: bool) -> HTMLResponse:
    """Which model this is, its labels, and how to call it.

    Args:
        predictor: the model. Where a token is asked for, which a browser cannot show, nothing of it is told.
        address: where the service was reached, with a slash at its end.
        with_token: whether clients must show a token.
    """
    return _page("jointune", "".join(_home(predictor, address, with_token)))


def docs_page(described: Mapping[str, Any]) -> HTMLResponse:
    """What can be asked, and what is answered.

    Args:
        described: the service as OpenAPI.
    """
    return _page("How to call it", "".join(_docs(described)))


def _home(predictor: Predictor, address: str, with_token: bool) -> Iterator[str]:
    if with_token:
        yield "<h1>A jointune model</h1><p>Clients show a token; with it, <code>/model</code> says which model this is."
    else:
        heading = next((line[2:] for line in predictor.card.splitlines() if line.startswith("# ")), "A jointune model")
        yield f"<h1>{escape(heading)}</h1><p>Labels:</p><ul class=labels>"
        yield "".join(f"<li>{escape(str(label))}</li>" for label in predictor.labels)
        yield "</ul>"
    token = ' -H "Authorization: Bearer $JOINTUNE_TOKEN"' if with_token else ""
    predict = f"{address}predict"
    yield "<h2>Ask it</h2><p>A post has a text, a picture, or both:</p>"
    yield _code(f"curl{token} -F text='what a day' -F image=@picture.jpg {predict}")
    yield "<p>Up to 64 posts at once as JSON, pictures in base64:</p>"
    posts = '{"posts": [{"text": "what a day"}, {"text": "no picture here"}]}'
    yield _code(f"curl{token} -H 'Content-Type: application/json' \\\n  -d '{posts}' {predict}")
    yield "<p><a href=docs>All requests, answers and errors</a>; the same as <a href=openapi.json>OpenAPI</a>.</p>"
    if not with_token:
        yield "<p><a href=model>Labels, versions, settings and scores</a> as JSON.</p>"
        if predictor.card:
            yield f"<details><summary>The model card</summary>{_code(predictor.card)}</details>"


def _docs(described: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h1>How to call it</h1><p>{_marked(described['info']['description'])}</p>"
    yield "<p><a href=.>The model</a>; this page as <a href=openapi.json>OpenAPI</a>.</p>"
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            yield f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
            yield f"<p>{_marked(operation.get('description', ''))}</p>"
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"<h3>Body: <code>{escape(kind)}</code></h3>"
                yield _fields(_resolved(content["schema"], described))
                yield from _examples(content)
            yield "<h3>Answers</h3>"
            for status, response in operation["responses"].items():
                yield f"<h4>{escape(status)} <span>{_marked(response['description'])}</span></h4>"
                for content in response.get("content", {}).values():
                    yield from _examples(content)


def _resolved(schema: Mapping[str, Any], described: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The objects that a schema allows."""
    if "$ref" in schema:
        return _resolved(described["components"]["schemas"][schema["$ref"].rpartition("/")[2]], described)
    if "properties" in schema:
        return [schema]
    return [one for part in schema.get("anyOf", []) for one in _resolved(part, described)]


def _fields(objects: Sequence[Mapping[str, Any]]) -> str:
    rows = {name: about.get("description", "") for one in objects for name, about in one["properties"].items()}
    lines = "".join(
        f"<tr><th><code>{escape(name)}</code></th><td>{_marked(what)}</td></tr>" for name, what in rows.items()
    )
    return f"<table>{lines}</table>"


def _examples(content: Mapping[str, Any]) -> Iterator[str]:
    examples = content.get("examples") or ({"": {"value": content["example"]}} if "example" in content else {})
    for name, example in examples.items():
        value = example["value"]
        yield f"<p class=name>{escape(name)}</p>" if name else ""
        yield _code(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))


def _marked(text: str) -> str:
    """Plain text with code between backticks."""
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
