"""HTTP/1.1 by uvicorn, for clients that are slow on purpose or too many."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_READ = 16_384
"""Bytes taken off a connection at a time, before others have their turn; also what bounds the head of a request."""

_CRUMB, _MOST_CRUMBS = 64, 1000
"""Chunks of a body below so many bytes, of which there may be so many: each costs as much work as a large one."""


class _Connection(h11.Connection):
    """Refuses two kinds of body that h11 lets pass."""

    _crumbs = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._crumbs = 0
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                # A proxy that goes by the length takes for a part of this request what would be another one here.
                raise h11.RemoteProtocolError("Content-Length with Transfer-Encoding")
        elif isinstance(event, h11.Data) and event.chunk_end and len(event.data) < _CRUMB:
            self._crumbs += 1
            if self._crumbs > _MOST_CRUMBS:
                raise h11.RemoteProtocolError("far too small chunks")
        return event


def patient_protocol(seconds: float, connections: int) -> type[H11Protocol]:
    """Uvicorn's protocol with limits that it lacks.

    Args:
        seconds: within which a connection must have sent the whole head of its next request. Uvicorn's own limit ends
            with the first byte, and one more byte now and then would keep a connection forever.
        connections: open at a time; further ones are closed at once.
    """

    class PatientProtocol(H11Protocol):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.conn = _Connection(h11.SERVER, _READ)
            self._deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.max_size = _READ  # type: ignore[attr-defined]
            if len(self.connections) > connections:
                transport.abort()
            else:
                self._deadline = self.loop.call_later(seconds, self._late)

        def on_response_complete(self) -> None:
            self._end_wait()
            self._deadline = self.loop.call_later(seconds, self._late)
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_wait()
            super().connection_lost(exc)

        def _end_wait(self) -> None:
            if self._deadline:
                self._deadline.cancel()

        def _late(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return PatientProtocol
