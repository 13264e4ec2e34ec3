"""Bodies and answers of the service, and how OpenAPI describes them."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import FastAPI
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from jointune.errors import SettingsError
from jointune.modalities.batch import Input
from jointune.serve.limits import MAX_CELL, MAX_CHARACTERS, MAX_FIELDS, MAX_IMAGES, MAX_POSTS


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PydanticCustomError("base64", "not base64") from error


# Python's bytes would also accept a JSON string as it stands; after the validator above only bytes are left.
Base64 = Annotated[
    bytes,
    Field(strict=True),
    BeforeValidator(_from_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "A picture's file, in base64."}),
]


Address = Annotated[str, Field(max_length=8192)]
_Item = TypeVar("_Item")
TAGS = ONE, SEVERAL = "<one>", "<several>"
"""Parts of the place of an error that are no part of the request."""

Several: TypeAlias = (
    Annotated[
        Annotated[_Item, Tag(ONE)] | Annotated[list[_Item], Field(max_length=MAX_IMAGES), Tag(SEVERAL)],
        Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
    ]
    | None
)

Cell = Annotated[str, Field(max_length=MAX_CELL)] | float | bool | None
FIELDS: TypeAdapter[dict[str, Cell]] = TypeAdapter(
    Annotated[dict[str, Cell], Field(max_length=MAX_FIELDS)], config=ConfigDict(hide_input_in_errors=True)
)


def _not_empty(schema: dict[str, Any]) -> None:
    """Say in a schema that one of its properties is required."""
    schema["anyOf"] = [{"required": [name]} for name in schema["properties"]]


class RequestPost(BaseModel):
    """A post to score: a text, a picture, or both."""

    # Validation errors become answers and must not carry the posts' content into a log.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, title="Post", json_schema_extra=_not_empty)

    text: str | None = Field(None, max_length=MAX_CHARACTERS, description="The text; a blank one counts as missing.")
    image: Several[Base64] = Field(
        None, description="A picture's file, in base64: JPEG, PNG, WebP or GIF; or a list of several."
    )
    image_url: Several[Address] = Field(
        None, description="Where the picture is, if the server fetches pictures; or a list of several."
    )

    fields: dict[str, Cell] | None = Field(
        None, max_length=MAX_FIELDS, description="Numbers and categories by column, if the model reads any."
    )


class RequestPosts(BaseModel):
    """Several posts to score."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, title="Posts")

    posts: list[Any]


def _tag(value: Any) -> str:
    return "posts" if isinstance(value, dict) and "posts" in value else "post"


@dataclass(frozen=True)
class Bodies:
    """The bodies of requests to a model.

    Attributes:
        inputs: what the model reads beside text and image.
        post: the class of one post; an input that is no field has an attribute of its own, ``input_0`` for the first.
        json: validates JSON with one post or several.
    """

    inputs: Sequence[Input]
    post: type[RequestPost]
    json: TypeAdapter[RequestPost | RequestPosts]

    @property
    def files(self) -> list[str]:
        """The names of the parts that are files."""
        return ["image", *(name for name, kind, _ in self.inputs if kind == "file")]

    @property
    def names(self) -> list[str]:
        """The names of all parts of a post."""
        return [field.alias or name for name, field in self.post.model_fields.items()]

    def values(self, request: RequestPost) -> dict[str, Any]:
        """Return the content of the inputs that are no fields, by name."""
        return {one.name: getattr(request, f"input_{number}", None) for number, one in enumerate(self.inputs)}


def make_bodies(inputs: Sequence[Input]) -> Bodies:
    """Return the bodies of requests to a model that reads ``inputs`` beside text and image.

    Raises:
        SettingsError: an input is named as another part of a request.
    """
    own: dict[str, Any] = {}
    for number, (name, kind, _) in enumerate(inputs):
        if kind not in ("text", "file"):
            continue
        if name in (*RequestPost.model_fields, "posts"):
            raise SettingsError(
                f"the model reads a {kind} from the column {name!r}, and requests name something else so",
                "train it with another name of the column",
            )
        if kind == "file":
            own[f"input_{number}"] = (Base64 | None, Field(None, alias=name, description="A file, in base64."))
            continue
        described = "A second text, read together with the first; a blank one counts as missing."
        field = Field(None, alias=name, max_length=MAX_CHARACTERS, description=described)
        own[f"input_{number}"] = (str | None, field)
    post: Any = create_model("RequestPost", __base__=RequestPost, __doc__=RequestPost.__doc__, **own)
    several = Field(min_length=1, max_length=MAX_POSTS, description=f"In place of the others: 1 to {MAX_POSTS} posts.")
    content: Any = (list[post], several)
    posts: Any = create_model("RequestPosts", __base__=RequestPosts, __doc__=RequestPosts.__doc__, posts=content)
    body: Any = Annotated[Annotated[post, Tag("post")] | Annotated[posts, Tag("posts")], Discriminator(_tag)]
    return Bodies(inputs, post, TypeAdapter(body, config=ConfigDict(hide_input_in_errors=True)))


class Answer(BaseModel):
    """The model's answer to a post."""

    label: str | None = Field(
        None, description="The most probable label, or unsure where the server abstains; of one label a post."
    )
    labels: list[str] | None = Field(None, description="The labels, of a model that gives several.")
    value: float | None = Field(None, description="The number, of a model that gives one.")
    confidence: float | None = Field(None, description="The probability of the label.")
    probabilities: dict[str, float] | None = Field(None, description="The probability of each label.")
    prediction_set: list[str] | None = Field(
        None, description="With a coverage, the labels that hold the true one in that share of posts."
    )
    prediction_low: float | None = Field(None, description="With a coverage, the interval's lower end; of numbers.")
    prediction_high: float | None = Field(None, description="Its upper end.")
    unlike_score: float | None = Field(
        None, description="How unlike the training posts it is, if the server compares; above 1 is unusual."
    )
    unlike: str | None = Field(None, description="What is unusual: text, image, text+image, or their pairing.")
    unlike_parts: dict[str, float] | None = Field(
        None, description="How strange each modality is, and the pairing of them; above 1 is unusual."
    )
    max_logit: float | None = Field(None, description="The greatest logit of a label, likewise; less is stranger.")
    missing: list[str] = Field(description="The modalities that the post came without.")
    notes: list[str] = Field([], description="What of the post was not used; only where there is something.")


class Fault(BaseModel):
    """Reason of a refusal, and what to do about it."""

    reason: str
    remedy: str


class ErrorAnswer(BaseModel):
    """The shape of every error."""

    error: Fault


class ModelAnswer(BaseModel):
    """The model that is served."""

    labels: list[str]
    versions: dict[str, str] = Field(description="Of the program and of what runs the model.")
    about: dict[str, Any] = Field(description="Encoders, settings, metrics and versions of the model.")
    card: str = Field(description="The model card, Markdown.")


DESCRIPTION = (
    "Scores posts that carry a text, a picture, or both. Every error is "
    '`{"error": {"reason": ..., "remedy": ...}}`. Where the server was started with a token, all but `/`, '
    "`/docs`, `/healthz` and `/readyz` ask for it as `Authorization: Bearer TOKEN`."
)

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mM4AQAAygDJNEIn8wAAAABJRU5ErkJggg=="
_ANSWER = {
    "label": "positive",
    "confidence": 0.91,
    "probabilities": {"negative": 0.02, "neutral": 0.07, "positive": 0.91},
    "missing": ["image"],
}
_EXPLANATION: dict[str, Any] = {
    "answer": {"label": "positive", "confidence": 0.91, "probabilities": {"negative": 0.09, "positive": 0.91}},
    "sentence": "The post has only a text: it says positive (0.91).",
    "modalities": {"base": {"positive": 0.5}, "alone": {}, "shares": {"text": {"positive": 0.41}}, "interactions": {}},
    "parts": {"text": [{"word": "great", "place": [0, 0, 5], "adds": {"positive": 0.4}}]},
    "changes": {"without": {"text": ["great"]}, "answer": {"label": "negative"}},
    "notes": [],
}
_MODEL = {
    "labels": ["negative", "neutral", "positive"],
    "versions": {"jointune": "0.1.0"},
    "about": {},
    "card": "# A model card",
}


_ERRORS = {
    400: ("Not a body that can be read.", "Invalid JSON: EOF while parsing", "send UTF-8 JSON"),
    401: ("Without the token.", "no valid token", "send the header Authorization: Bearer TOKEN"),
    408: ("The body came too slowly.", "the body did not arrive within 10 s", "send it faster"),
    413: ("Too large.", "image: more than 25,000,000 pixels", "save it smaller"),
    415: ("Another type of body or picture.", "the Content-Type is 'text/plain'", "send application/json"),
    422: ("Not a post.", "neither a text nor a picture", "send at least one of them"),
    503: ("Not now.", "the queue is full", "try again after the seconds in Retry-After"),
}
"""Description of each status, and the reason and remedy of an example."""

_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}


def _examples(**values: Any) -> dict[str, Any]:
    return {"examples": {name.replace("_", " "): {"value": value} for name, value in values.items()}}


def _responses(content: dict[str, Any], *errors: int, media_type: str = "application/json") -> dict[str, Any]:
    """Return a route's argument ``responses``: the content of a good answer, and the errors that it may answer."""
    responses: dict[int, Any] = {200: {"description": "Done.", "content": {media_type: content}}}
    for status in errors:
        description, reason, remedy = _ERRORS[status]
        example = {"example": {"error": {"reason": reason, "remedy": remedy}}}
        responses[status] = {"model": ErrorAnswer, "description": description, "content": {"application/json": example}}
        if status == 503:
            responses[status]["headers"] = _RETRY
    return {"responses": responses}


def predict_route(bodies: Bodies) -> dict[str, Any]:
    """Return the route's arguments on its requests and answers."""
    fields: dict[str, dict[str, Any]] = {
        field.alias or name: {"type": "string", "description": field.description}
        for name, field in bodies.post.model_fields.items()
    }
    for name in bodies.files:
        fields[name] |= {"format": "binary", "description": "A file."}
    fields["image"] = {
        "type": "array",
        "maxItems": MAX_IMAGES,
        "items": {"type": "string", "format": "binary"},
        "description": "A picture's file: JPEG, PNG, WebP or GIF; repeated for several.",
    }
    form = {"type": "object", "additionalProperties": False, "properties": fields}
    _not_empty(form)
    content = {
        "application/json": {
            "schema": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("RequestPost", "RequestPosts")]},
            **_examples(
                a_text={"text": "what a day"},
                text_and_picture={"text": "what a day", "image": _PIXEL},
                several_posts={"posts": [{"text": "what a day"}, {"image": _PIXEL}]},
            ),
        },
        # An image file is no JSON, so that the example has none.
        "multipart/form-data": {"schema": form, "example": {"text": "what a day"}},
    }
    return {
        **_responses(_examples(one_post=_ANSWER, several_posts=[_ANSWER, _ANSWER]), *_ERRORS),
        "openapi_extra": {"requestBody": {"required": True, "content": content}, "parameters": [_COVERAGE]},
    }


_COVERAGE = {
    "name": "coverage",
    "in": "query",
    "required": False,
    "description": "Have each answer hold a set of labels, or for numbers an interval, that holds the truth of this "
    "share of posts. The model's validation posts bound it.",
    "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "example": 0.9,
}


def explain_route(bodies: Bodies) -> dict[str, Any]:
    """Return the route's arguments on its request, which is one post of /predict, and its answer."""
    content = predict_route(bodies)["openapi_extra"]["requestBody"]["content"]
    one = {"$ref": "#/components/schemas/RequestPost"}
    examples = content["application/json"]["examples"]
    examples.pop("several posts")
    return {
        **_responses({"example": _EXPLANATION}, *_ERRORS),
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": content | {"application/json": {"schema": one, "examples": examples}},
            }
        },
    }


HEALTHZ = _responses({"example": {"status": "alive"}})
READYZ = _responses({"example": {"status": "ready"}}, 503)
METRICS = _responses({"example": "jointune_waiting_posts 0.0\n"}, 401, media_type="text/plain")
MODEL = _responses({"example": _MODEL}, 401)


def describe_bodies(app: FastAPI, bodies: Bodies) -> None:
    """Add the bodies of /predict to the app's OpenAPI, since the route reads them itself."""
    schemas = bodies.json.json_schema(ref_template="#/components/schemas/{model}")["$defs"]
    app.openapi()["components"]["schemas"] |= schemas
