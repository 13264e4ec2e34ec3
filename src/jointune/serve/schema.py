"""What requests and answers hold; their OpenAPI descriptions come from here."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError

from jointune.serve.limits import MAX_CHARACTERS, MAX_POSTS


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as reason:
        raise PydanticCustomError("base64", "not base64") from reason


# Python's bytes would also accept a JSON string as it stands; after the validator above only bytes are left.
Base64 = Annotated[
    bytes,
    Field(strict=True),
    BeforeValidator(_from_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "A picture's file, in base64."}),
]


class GivenPost(BaseModel):
    """A post to score: a text, a picture, or both."""

    # Validation errors are turned into answers and must not carry the posts' content into a log.
    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        title="Post",
        json_schema_extra={"anyOf": [{"required": [name]} for name in ("text", "image", "image_url")]},
    )

    text: str | None = Field(
        default=None, max_length=MAX_CHARACTERS, description="The text; a blank one counts as missing."
    )
    image: Base64 | None = Field(default=None, description="A picture's file, in base64: JPEG, PNG, WebP or GIF.")
    image_url: str | None = Field(
        default=None, max_length=8192, description="Where the picture is, if the server fetches pictures."
    )


class GivenPosts(BaseModel):
    """Several posts to score."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, title="Posts")

    posts: list[GivenPost] = Field(
        min_length=1, max_length=MAX_POSTS, description=f"In place of the others: 1 to {MAX_POSTS} posts."
    )


def _kind(value: Any) -> str:
    return "posts" if isinstance(value, dict) and "posts" in value else "post"


GIVEN: TypeAdapter[GivenPost | GivenPosts] = TypeAdapter(
    Annotated[Annotated[GivenPost, Tag("post")] | Annotated[GivenPosts, Tag("posts")], Discriminator(_kind)],
    config=ConfigDict(hide_input_in_errors=True),
)
"""A JSON body."""


class Answer(BaseModel):
    """What the model says of a post."""

    label: str = Field(description="The most probable label, or unsure where the server abstains.")
    confidence: float = Field(description="Its probability.")
    probabilities: dict[str, float] = Field(description="The probability of each label.")
    missing: list[Literal["text", "image"]] = Field(description="What the post came without.")


class Fault(BaseModel):
    """Why a request was refused, and what to do about it."""

    reason: str
    remedy: str


class ErrorAnswer(BaseModel):
    """The shape of every error."""

    error: Fault


class State(BaseModel):
    """Whether the service runs."""

    status: str


class ModelAnswer(BaseModel):
    """What is served."""

    labels: list[str]
    versions: dict[str, str] = Field(description="Of the program and of what runs the model.")
    about: dict[str, Any] = Field(description="What there is to tell of the model.")
    card: str = Field(description="The model card, Markdown.")
