"""Show the page: one process, one address, nothing from outside."""

import os
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response

from jointune.errors import PostsError
from jointune.inference.predictor import Predictor
from jointune.serve.hosts import LOOPBACK, check_host
from jointune.serve.listen import address_of, exit_on_signals, run_server
from jointune.serve.refusal import Refused
from jointune.ui.examples import Example
from jointune.ui.uploads import uploaded
from jointune.utils.extras import require

_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'self'; form-action 'self'"
"""The browser then refuses to load anything from elsewhere, such as an image that a model card names."""

_MAX_UPLOAD = 10**9  # bytes of one file: a table, or a zip of images
_MAX_REQUEST = 10**6  # bytes of any other request
_HEAD_SECONDS, _CONNECTIONS = 60, 200  # Limits of ``run_server``

_FILE, _UPLOAD = "/gradio_api/file=", "/gradio_api/upload"
_PATHS = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|(assets|static|svelte)/.*)"
    rf"|/gradio_api/(queue/(join|data)|cancel|heartbeat/.*)|{_UPLOAD}(_progress)?|{_FILE}.*"
)
"""Paths that the page itself asks for. Gradio answers more, such as what fetches other addresses or writes files."""


@contextmanager
def gradio_folder(folder: Path) -> Iterator[None]:
    """Have gradio keep what people upload in a folder.

    It reads the environment variable GRADIO_TEMP_DIR when it is imported and at each request; the variable is put back
    when the block ends.

    Raises:
        MissingExtraError: gradio is not installed.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        require("gradio", "ui", "jointune ui")
        yield
    finally:
        del os.environ["GRADIO_TEMP_DIR"]
        if before is not None:
            os.environ["GRADIO_TEMP_DIR"] = before


def make_app(
    predictor: Predictor,
    folder: Path,
    name: str = "model",
    examples: Sequence[Example] = (),
    hosts: Set[str] = LOOPBACK,
) -> FastAPI:
    """Return the page of a model as an application.

    Args:
        predictor: the model.
        folder: takes uploads and scored tables, and no file elsewhere is read or given out; that of ``gradio_folder``.
        name: of the model.
        examples: posts to try it on.
        hosts: the names under which it is shown; see ``jointune.serve.hosts.allowed_hosts``.
    """
    from jointune.ui.page import mount_page

    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def check(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            check_host(request.scope, hosts)
            _check_request(request, folder)
            response = await call(request)
        except Refused as refused:
            response = refused.response()
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return mount_page(app, predictor, folder, name, examples, _MAX_UPLOAD)


def _check_request(request: Request, folder: Path) -> None:
    """Check that a request is one that the page makes.

    Raises:
        Refused: 404 or 413, it is none.
    """
    path = request.url.path
    try:
        if path.startswith(_FILE):
            uploaded(path.removeprefix(_FILE), folder)
        elif not _PATHS.fullmatch(path):
            raise ValueError
    except (PostsError, ValueError):
        raise Refused(404, "there is nothing here", "open the page itself") from None
    length = request.headers.get("content-length", "0")
    most = 2 * _MAX_UPLOAD if path == _UPLOAD else _MAX_REQUEST
    if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > most:
        raise Refused(413, f"larger than {most:,} bytes, or of no stated length", "send less")


def show(app: FastAPI, listener: socket.socket, on_ready: Callable[[str], object]) -> None:
    """Show the page until Ctrl-C or SIGTERM; see ``exit_on_signals``.

    Args:
        app: from ``make_app``.
        listener: from ``jointune.serve.listen.bind``.
        on_ready: called with the page's address when it can be opened.
    """
    with exit_on_signals():
        run_server(
            app,
            listener,
            lambda host, port: on_ready(address_of(host, port)),
            _HEAD_SECONDS,
            _CONNECTIONS,
            log_level="error",
            timeout_graceful_shutdown=2,
        )
