"""The routes that take posts."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from jointune.data.post import Post
from jointune.inference.predictor import Predictor
from jointune.serve import api_schema
from jointune.serve.limits import Limits
from jointune.serve.parsing import as_asked, media_type, parse
from jointune.serve.refusal import Refused
from jointune.serve.request_io import read_body, while_connected
from jointune.serve.service import Service

Answer = Callable[[Sequence[Post], bool], Awaitable[Any]]
"""Posts, and whether they came as a list, to JSON values."""


def add_post_routes(
    app: FastAPI, service: Service, predictor: Predictor, limits: Limits, bodies: api_schema.Bodies
) -> None:
    """Add ``/predict`` and ``/explain``."""

    async def respond(request: Request, answer: Answer) -> Response:
        content_type = request.headers.get("content-type", "")
        media_type(content_type)
        service.queue.check()
        with service.bodies.hold() as take:
            body = await read_body(request, limits, take)

            async def work() -> Any:
                posts, as_list = await service.in_thread(parse, body, content_type, bodies)
                request.state.posts = len(posts)
                return await answer(posts, as_list)

            return JSONResponse(await while_connected(request, work(), limits.timeout))

    @app.post(
        "/predict", response_model=api_schema.Answer | list[api_schema.Answer], **api_schema.predict_route(bodies)
    )
    async def predict(request: Request) -> Response:
        """Score one post, or a list of them."""
        media_type(request.headers.get("content-type", ""))
        asked = as_asked(predictor, request.query_params)

        async def answer(posts: Sequence[Post], as_list: bool) -> Any:
            answers = await service.answer(posts, as_list, asked)
            return answers if as_list else answers[0]

        return await respond(request, answer)

    @app.post("/explain", response_model=dict[str, Any], **api_schema.explain_route(bodies))
    async def explain(request: Request) -> Response:
        """Say why a post is answered as it is; takes seconds, and one post at a time."""

        async def answer(posts: Sequence[Post], as_list: bool) -> Any:
            if as_list:
                raise Refused(422, "posts: one post is explained at a time", "send it alone, without a list")
            return await service.explain(posts[0])

        return await respond(request, answer)
