"""Read a request's body and wait for its answer: no more, and no longer, than is allowed."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from jointune.errors import setting
from jointune.serve.limits import Limits
from jointune.serve.refusal import Refused, busy

T = TypeVar("T")

_CLOSE = {"Connection": "close"}
_LINGER = 0.5
"""Seconds for which a refused body is still read: if a connection is closed with unread bytes, the system may discard
the answer before the client sees it."""


async def read_body(request: Request, limits: Limits, take: Callable[[int], None]) -> bytearray:
    """Read a request's body.

    Args:
        request: none of its body has been read yet.
        limits: its ``body_bytes`` and ``body_seconds``.
        take: called with the size of each part; raises if there is no memory for it.

    Raises:
        Refused: 408 or 413, or what ``take`` raises.
        ClientDisconnect: the client hung up.
    """
    body = bytearray()
    try:
        declared = request.headers.get("content-length", "")
        _check_size(int(declared) if declared.isdecimal() else 0, limits)
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                take(len(part))
                _check_size(len(body) + len(part), limits)
                body += part
    except TimeoutError as error:
        reason = f"the body did not arrive within {limits.body_seconds:g} s"
        raise Refused(408, reason, "send it faster, or less of it", _CLOSE) from error
    except Refused as refused:
        await _linger(request)
        refused.headers |= _CLOSE
        raise
    return body


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.body_bytes:
        raise Refused(
            413,
            f"the request is larger than {limits.body_bytes:,} bytes",
            f"send smaller pictures or fewer posts, or ask whoever runs the server for a larger {setting('max_body')}",
        )


async def _linger(request: Request) -> None:
    if "expect" in request.headers:
        return  # the client waits to be asked for the body, and is not
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_LINGER):
            while (await request.receive()).get("more_body"):
                pass


async def while_connected(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return the result of ``work``, which is cancelled when it takes too long or the client hangs up.

    Raises:
        Refused: 503, it took longer than ``seconds``.
        ClientDisconnect: the client hung up.
    """
    task = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({task, disconnect}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if disconnect.done():
            raise ClientDisconnect
        raise busy(f"not done within {seconds:g} s")
    finally:
        disconnect.cancel()
        task.cancel()
        await asyncio.wait({task})  # what it holds is released before the next request is looked at
        if not task.cancelled():
            task.exception()  # retrieved, or asyncio would complain that nobody asked for it


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
