"""Listen on a port: the socket, HTTP/1.1 with limits that uvicorn lacks, and a server that says when it is ready."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from jointune.errors import SettingsError, setting

_READ = 16_384
"""Bytes read from a connection at a time, before others have their turn; also bounds the head of a request."""

_SMALL_CHUNK, _MAX_SMALL_CHUNKS = 64, 1000
"""A chunk of fewer bytes is small, and a body may have so many of them: each costs as much as a large one."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket on an address; it takes connections once a server runs on it, and not before.

    Raises:
        SettingsError: the address is not one of this machine, or in use.
    """
    if not 0 <= port <= 65_535:  # the system would take the remainder of a division
        raise SettingsError(f"{setting('port', port)}: choose one from 0 to 65535", setting="port")
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With the protocol named, asyncio turns off Nagle's algorithm, which would cost 40 ms an answer.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        if listener is not None:
            listener.close()
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error}",
            f"choose another {setting('host')} or {setting('port')}",
            setting="port",
        ) from error
    return listener


def address_of(host: str, port: int) -> str:
    """Return the address to open in a browser."""
    if host in ("0.0.0.0", "::"):  # where to listen, not where to go
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """End the block, and the program, by ``SystemExit(0)`` on SIGTERM and Ctrl-C.

    The handlers of both signals are put back when the block ends.
    """

    def leave(*_: object) -> None:
        raise SystemExit(0)

    handlers = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run_server(
    app: FastAPI,
    listener: socket.socket,
    on_ready: Callable[[str, int], object],
    head_seconds: float,
    connections: int,
    **options: Any,
) -> None:
    """Serve an application until a signal ends the process.

    Args:
        app: the application.
        listener: from ``bind``.
        on_ready: called with host and port when the server takes connections.
        head_seconds: seconds within which a connection must have sent the head of its next request.
        connections: open at a time; further ones are closed at once.
        options: further ones of ``uvicorn.Config``.
    """
    protocol = limited_protocol(head_seconds, connections)
    config = uvicorn.Config(app, http=protocol, ws="none", server_header=False, proxy_headers=False, **options)
    _Server(config, on_ready).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[str, int], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready(*(sockets or self.servers[0].sockets)[0].getsockname()[:2])


class _Connection(h11.Connection):
    """Refuses two kinds of body that h11 accepts."""

    _small_chunks = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._small_chunks = 0
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                # A proxy that goes by the length takes for a part of this request what would be another one here.
                raise h11.RemoteProtocolError("Content-Length with Transfer-Encoding")
        elif isinstance(event, h11.Data) and event.chunk_end and len(event.data) < _SMALL_CHUNK:
            self._small_chunks += 1
            if self._small_chunks > _MAX_SMALL_CHUNKS:
                raise h11.RemoteProtocolError("far too small chunks")
        return event


def limited_protocol(head_seconds: float, connections: int) -> type[H11Protocol]:
    """Return uvicorn's protocol with the limits of ``run_server``.

    Uvicorn's own limit of time ends with the first byte, and one more byte now and then would keep a connection
    forever.
    """

    class LimitedProtocol(H11Protocol):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.conn = _Connection(h11.SERVER, _READ)
            self._deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.max_size = _READ  # type: ignore[attr-defined]
            if len(self.connections) > connections:
                transport.abort()
            else:
                self._deadline = self.loop.call_later(head_seconds, self._close_if_idle)

        def on_response_complete(self) -> None:
            self._cancel_deadline()
            self._deadline = self.loop.call_later(head_seconds, self._close_if_idle)
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel_deadline()
            super().connection_lost(exc)

        def _cancel_deadline(self) -> None:
            if self._deadline:
                self._deadline.cancel()

        def _close_if_idle(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return LimitedProtocol
