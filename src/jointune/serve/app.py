"""The service's routes."""

import platform
import sys
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from jointune import __version__
from jointune.inference.predictor import Predictor
from jointune.serve import openapi
from jointune.serve.body import read_body
from jointune.serve.browser_pages import docs_page, home_page
from jointune.serve.counters import Metrics
from jointune.serve.guard import Guard
from jointune.serve.hosts import LOOPBACK
from jointune.serve.limits import Limits
from jointune.serve.parsing import media_type, parse
from jointune.serve.patience import while_waiting
from jointune.serve.refusal import Refused, busy, error_response
from jointune.serve.schema import Answer, ModelAnswer, State
from jointune.serve.service import Fetch, Service

_LIBRARIES = ("numpy", "PIL", "tokenizers", "onnxruntime", "torch")
"""What the numbers may depend on, as far as it is used here."""


def make_app(
    predictor: Predictor,
    limits: Limits | None = None,
    metrics: Metrics | None = None,
    token: str | None = None,
    fetch: Fetch | None = None,
    hosts: Set[str] = LOOPBACK,
) -> FastAPI:
    """The service as an ASGI application; it is ready when its lifespan has started.

    Args:
        predictor: the model.
        limits: what it takes on.
        metrics: where it counts.
        token: what clients must show as a bearer token; None where anybody may ask.
        fetch: gets the pictures of ``image_url``; None where that is not allowed.
        hosts: the names under which it answers; see ``jointune.serve.hosts.allowed_hosts``.

    Raises:
        MissingExtraError: the model reads the text in pictures, and what does that is not installed.
    """
    limits, metrics = limits or Limits(), metrics or Metrics()
    service = Service(predictor, limits, metrics, fetch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await service.start()
        except Exception as error:
            app.state.failure = error
            raise
        yield
        await service.stop()

    # FastAPI's own pages take their scripts from another server.
    app = FastAPI(
        title="jointune",
        version=__version__,
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.failure = None  # why it did not start
    app.add_middleware(Guard, metrics=metrics, token=token, hosts=hosts)

    @app.exception_handler(Refused)
    async def refuse(_: Request, refused: Refused) -> Response:
        return refused.response()

    @app.exception_handler(HTTPException)
    async def no_such_route(_: Request, error: HTTPException) -> Response:
        return error_response(
            error.status_code, str(error.detail), "see /docs or /openapi.json for what there is", error.headers
        )

    @app.post("/predict", response_model=Answer | list[Answer], **openapi.PREDICT)
    async def predict(request: Request) -> Response:
        """Score one post, or a list of them."""
        content_type = request.headers.get("content-type", "")
        media_type(content_type)
        service.places.check()
        with service.bodies.hold() as take:
            body = await read_body(request, limits, take)

            async def work() -> Any:
                posts, as_list = await service.aside(parse, body, content_type)
                request.state.posts = len(posts)
                answers = await service.answer(posts, as_list)
                return answers if as_list else answers[0]

            return JSONResponse(await while_waiting(request, work(), limits.timeout))

    @app.get("/healthz", response_model=State, **openapi.HEALTHZ)
    async def healthz() -> Response:
        """Whether the process runs."""
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", response_model=State, **openapi.READYZ)
    async def readyz() -> Response:
        """Whether the model is loaded and warm, and posts are answered."""
        if not service.ready:
            raise busy("not ready")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", response_class=PlainTextResponse, **openapi.METRICS)
    async def counts() -> Response:
        """Counts and histograms for Prometheus."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/model", response_model=ModelAnswer, **openapi.MODEL)
    async def model() -> Response:
        """What is served: labels, versions, the model card."""
        versions = {"jointune": __version__, "python": platform.python_version()}
        versions |= {name: sys.modules[name].__version__ for name in _LIBRARIES if name in sys.modules}
        return JSONResponse(
            {"labels": predictor.labels, "versions": versions, "about": dict(predictor.about), "card": predictor.card}
        )

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        return home_page(predictor, str(request.base_url), token is not None)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return docs_page(app.openapi())

    openapi.add_components(app)
    return app
