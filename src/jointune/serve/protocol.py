"""HTTP/1.1 by uvicorn, for clients that are slow on purpose or too many."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def patient_protocol(seconds: float, connections: int) -> type[H11Protocol]:
    """Uvicorn's protocol with two limits that it lacks.

    Args:
        seconds: within which a connection must have sent the whole head of its next request. Uvicorn's own limit ends
            with the first byte, and one more byte now and then would keep a connection forever.
        connections: open at a time; further ones are closed at once.
    """

    class PatientProtocol(H11Protocol):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
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
