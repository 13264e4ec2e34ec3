"""Showing the page: one process, one address, nothing from outside. Needs gradio; see ``offline``."""

import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response

from jointune.scorer import Scorer
from jointune.serve.run import address_of
from jointune.ui.examples import Example
from jointune.ui.looks import CSS, JS, THEME
from jointune.ui.page import make_page

_OWN = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'self'; form-action 'self'"
"""The browser itself then refuses to load anything from elsewhere, such as a picture that a model card names."""

_MOST_UPLOADED = "1gb"
"""Of one file: a table, or a zip of pictures."""


def make_app(scorer: Scorer, folder: Path, name: str = "model", examples: Sequence[Example] = ()) -> FastAPI:
    """The page as an application.

    Args:
        scorer: the model.
        folder: takes the scored tables; what was given to ``load_gradio``.
        name: of the model.
        examples: to try it on.
    """
    app = FastAPI(openapi_url=None)

    @app.middleware("http")
    async def keep_at_home(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call(request)
        response.headers["Content-Security-Policy"] = _OWN
        return response

    return gr.mount_gradio_app(
        app,
        make_page(scorer, folder, name, examples),
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


def show(app: FastAPI, line: socket.socket, ready: Callable[[str], object]) -> None:
    """Show the page until Ctrl-C or SIGTERM.

    Args:
        app: from ``make_app``.
        line: from ``jointune.serve.run.bind``.
        ready: called with the page's address when it can be opened.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # uvicorn raises it again at its end; what was uploaded is removed after that
    config = uvicorn.Config(app, log_level="error", server_header=False, timeout_graceful_shutdown=2)
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
