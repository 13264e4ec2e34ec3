"""The service's routes."""

import platform
import sys
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response

from jointune import __version__
from jointune.inference.predictor import Predictor
from jointune.serve import api_schema
from jointune.serve.browser_pages import docs_page, home_page
from jointune.serve.guard import Guard
from jointune.serve.hosts import LOOPBACK
from jointune.serve.limits import Limits
from jointune.serve.log import log_event
from jointune.serve.post_routes import add_post_routes
from jointune.serve.refusal import Refused, busy
from jointune.serve.service import Fetch, Service
from jointune.serve.service_metrics import ServiceMetrics

_LIBRARIES = ("numpy", "PIL", "tokenizers", "onnxruntime", "torch")
"""Libraries that the numbers may depend on, as far as they are used."""


def make_app(
    predictor: Predictor,
    limits: Limits | None = None,
    metrics: ServiceMetrics | None = None,
    token: str | None = None,
    fetch: Fetch | None = None,
    hosts: Set[str] = LOOPBACK,
) -> FastAPI:
    """Return the service as an ASGI application; it is ready when its lifespan has started.

    Args:
        predictor: the model.
        limits: how much it takes on.
        metrics: where it counts.
        token: the bearer token that clients must show; None if anybody may ask.
        fetch: gets the images of ``image_url``; None if that is not allowed.
        hosts: the names under which it answers; see ``jointune.serve.hosts.allowed_hosts``.

    Raises:
        MissingExtraError: the model reads the text in images, and the OCR is not installed.
        SettingsError: the model reads a column that requests name something else by.
    """
    bodies = api_schema.make_bodies(predictor.reads)
    limits, metrics = limits or Limits(), metrics or ServiceMetrics()
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
        log_event("stopped")

    # FastAPI's own pages load their scripts from another server.
    app = FastAPI(
        title="jointune",
        version=__version__,
        description=api_schema.DESCRIPTION,
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
        remedy = "see /docs or /openapi.json for what there is"
        return Refused(error.status_code, str(error.detail), remedy, error.headers).response()

    add_post_routes(app, service, predictor, limits, bodies)

    @app.get("/healthz", response_model=dict[str, str], **api_schema.HEALTHZ)
    async def healthz() -> Response:
        """Answer as long as the process runs."""
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", response_model=dict[str, str], **api_schema.READYZ)
    async def readyz() -> Response:
        """Answer 200 when the model is loaded and warm, and posts are answered."""
        if not service.ready:
            raise busy("not ready")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", response_class=PlainTextResponse, **api_schema.METRICS)
    async def prometheus_metrics() -> Response:
        """Return counts and histograms for Prometheus."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/model", response_model=api_schema.ModelAnswer, **api_schema.MODEL)
    async def model() -> Response:
        """Return labels, versions, settings and scores of the model, and its card."""
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

    api_schema.describe_bodies(app, bodies)
    return app
