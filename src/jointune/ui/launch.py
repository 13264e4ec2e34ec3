"""Showing the page: one process, one address, nothing from outside. Needs gradio; see ``offline``."""

import re
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence, Set
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response

from jointune.errors import PostsError
from jointune.inference.predictor import Predictor
from jointune.serve.hosts import LOOPBACK, check_host
from jointune.serve.http_protocol import patient_protocol
from jointune.serve.refusal import Refused
from jointune.serve.server import address_of
from jointune.ui.examples import Example
from jointune.ui.looks import CSS, JS, THEME
from jointune.ui.page import make_page, uploaded

_OWN = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'self'; form-action 'self'"
"""The browser itself then refuses to load anything from elsewhere, such as a picture that a model card names."""

_MOST_UPLOADED = 10**9
"""Bytes of one file: a table, or a zip of pictures."""

_MOST_SAID = 10**6
"""Bytes of any other request."""

_HEAD_SECONDS, _MOST_CONNECTIONS = 60, 200
"""Within which a connection has asked for something, and how many there are at a time."""

_FILE, _UPLOAD = "/gradio_api/file=", "/gradio_api/upload"
_USED = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|(assets|static|svelte)/.*)"
    rf"|/gradio_api/(queue/(join|data)|cancel|heartbeat/.*)|{_UPLOAD}(_progress)?|{_FILE}.*"
)
"""What the page itself asks for. Gradio answers more, such as what fetches other addresses or writes files."""


def make_app(
    predictor: Predictor,
    folder: Path,
    name: str = "model",
    examples: Sequence[Example] = (),
    hosts: Set[str] = LOOPBACK,
) -> FastAPI:
    """The page as an application.

    Args:
        predictor: the model.
        folder: takes the scored tables; what was given to ``load_gradio``.
        name: of the model.
        examples: to try it on.
        hosts: the names under which it is shown; see ``jointune.serve.hosts.allowed_hosts``.
    """
    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def keep_at_home(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            check_host(request.scope, hosts)
            _check(request, folder)
            response = await call(request)
        except Refused as refused:
            response = refused.response()
        response.headers["Content-Security-Policy"] = _OWN
        return response

    return gr.mount_gradio_app(
        app,
        make_page(predictor, folder, name, examples),
        path="/",
        footer_links=[],
        run_history=False,
        app_kwargs={"openapi_url": None},  # its pages load scripts from elsewhere
        show_error=False,
        max_file_size=_MOST_UPLOADED,
        ssr_mode=False,
        theme=THEME,
        css=CSS,
        js=JS,
    )


def _check(request: Request, folder: Path) -> None:
    """See that a request is one that the page makes.

    Raises:
        Refused: 404 or 413, it is none.
    """
    path = request.url.path
    try:
        if path.startswith(_FILE):
            uploaded(path.removeprefix(_FILE), folder)
        elif not _USED.fullmatch(path):
            raise ValueError
    except (PostsError, ValueError):
        raise Refused(404, "there is nothing here", "open the page itself") from None
    length = request.headers.get("content-length", "0")
    most = 2 * _MOST_UPLOADED if path == _UPLOAD else _MOST_SAID
    if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > most:
        raise Refused(413, f"larger than {most:,} bytes, or of no stated length", "send less")


def show(app: FastAPI, line: socket.socket, ready: Callable[[str], object]) -> None:
    """Show the page until Ctrl-C or SIGTERM.

    Args:
        app: from ``make_app``.
        line: from ``jointune.serve.server.bind``.
        ready: called with the page's address when it can be opened.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # uvicorn raises it again at its end; what was uploaded is removed after that
    config = uvicorn.Config(
        app,
        http=patient_protocol(_HEAD_SECONDS, _MOST_CONNECTIONS),
        ws="none",
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    _Server(config, ready).run(sockets=[line])


def _leave(*_: object) -> None:
    raise SystemExit(0)


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = (sockets or self.servers[0].sockets)[0].getsockname()[:2]
        self._ready(address_of(host, port))
