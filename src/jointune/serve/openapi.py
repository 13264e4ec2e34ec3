"""What /openapi.json says beyond what the routes' types say: bodies, examples and errors."""

from typing import Any

from fastapi import FastAPI

from jointune.serve.schema import GIVEN, ErrorAnswer

DESCRIPTION = (
    "Scores posts that carry a text, a picture, or both. Every error is "
    '`{"error": {"reason": ..., "remedy": ...}}`. Where the server was started with a token, all but `/`, '
    "`/docs`, `/healthz` and `/readyz` ask for it as `Authorization: Bearer TOKEN`."
)

_DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mM4AQAAygDJNEIn8wAAAABJRU5ErkJggg=="
_ANSWER = {
    "label": "positive",
    "confidence": 0.91,
    "probabilities": {"negative": 0.02, "neutral": 0.07, "positive": 0.91},
    "missing": ["image"],
}


def _examples(**values: Any) -> dict[str, Any]:
    return {name.replace("_", " "): {"value": value} for name, value in values.items()}


def _errors(**reasons: tuple[str, str, str]) -> dict[int | str, dict[str, Any]]:
    """Documented errors: ``status_400=(when, reason, remedy)``."""
    return {
        int(name.removeprefix("status_")): {
            "model": ErrorAnswer,
            "description": when,
            "content": {"application/json": {"example": {"error": {"reason": reason, "remedy": remedy}}}},
        }
        for name, (when, reason, remedy) in reasons.items()
    }


_TOKEN = _errors(status_401=("Without the token.", "no valid token", "send the header Authorization: Bearer TOKEN"))
_AGAIN = {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}}
_BUSY = _errors(status_503=("Not now.", "the queue is full", "try again after the seconds in Retry-After"))
_BUSY[503] |= _AGAIN


def _good(example: Any, media_type: str = "application/json", **more: Any) -> dict[int | str, dict[str, Any]]:
    content = more or {"example": example}
    return {200: {"description": "Done.", "content": {media_type: content}}}


_FORM = {
    "type": "object",
    "anyOf": [{"required": [name]} for name in ("text", "image", "image_url")],
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "description": "The text; a blank one counts as missing."},
        "image": {"type": "string", "format": "binary", "description": "A picture's file: JPEG, PNG, WebP or GIF."},
        "image_url": {"type": "string", "description": "Where the picture is, if the server fetches pictures."},
    },
}

PREDICT: dict[str, Any] = {
    "responses": {
        **_good(None, examples=_examples(one_post=_ANSWER, several_posts=[_ANSWER, _ANSWER])),
        **_errors(
            status_400=("Not a body that can be read.", "Invalid JSON: EOF while parsing", "send UTF-8 JSON"),
            status_408=("The body came too slowly.", "the body did not arrive within 10 s", "send it faster"),
            status_413=("Too large.", "image: more than 25,000,000 pixels", "save it smaller"),
            status_415=(
                "Another type of body or picture.",
                "the Content-Type is 'text/plain'",
                "send application/json",
            ),
            status_422=("Not a post.", "neither a text nor a picture", "send at least one of them"),
        ),
        **_TOKEN,
        **_BUSY,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/GivenPost"},
                            {"$ref": "#/components/schemas/GivenPosts"},
                        ]
                    },
                    "examples": _examples(
                        a_text={"text": "what a day"},
                        text_and_picture={"text": "what a day", "image": _DOT},
                        several_posts={"posts": [{"text": "what a day"}, {"image": _DOT}]},
                    ),
                },
                # A picture's file is no JSON, so that the example has none.
                "multipart/form-data": {"schema": _FORM, "example": {"text": "what a day"}},
            },
        }
    },
}
HEALTHZ: dict[str, Any] = {"responses": _good({"status": "alive"})}
READYZ: dict[str, Any] = {"responses": {**_good({"status": "ready"}), **_BUSY}}
METRICS: dict[str, Any] = {"responses": {**_good("jointune_waiting_posts 0\n", "text/plain"), **_TOKEN}}
MODEL: dict[str, Any] = {
    "responses": {
        **_good(
            {
                "labels": ["negative", "neutral", "positive"],
                "versions": {"jointune": "0.1.0"},
                "about": {},
                "card": "# A model card",
            }
        ),
        **_TOKEN,
    }
}


def add_components(app: FastAPI) -> None:
    """Describe the bodies of /predict, which the route reads by itself and FastAPI therefore knows nothing of."""
    described = app.openapi()
    schema = GIVEN.json_schema(ref_template="#/components/schemas/{model}")
    described["components"]["schemas"] |= schema["$defs"]
