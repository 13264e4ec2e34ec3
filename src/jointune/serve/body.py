"""Reading a request's body: no more than is allowed, no longer than is allowed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from jointune.errors import setting
from jointune.serve.limits import Limits
from jointune.serve.refusal import Refused

_CLOSE = {"Connection": "close"}
_LINGER = 0.5
"""Seconds for which what is refused is still taken off the line: closed on unread bytes, the system would discard the
answer before its reader sees it."""


async def read_body(request: Request, limits: Limits, take: Callable[[int], None]) -> bytearray:
    """All of a request's body.

    Args:
        request: nothing of it has been read yet.
        limits: its ``body_bytes`` and ``body_seconds``.
        take: told of each part's bytes; raises where there is no memory for them.

    Raises:
        Refused: 408 or 413, or what ``take`` raises.
        ClientDisconnect: the client hung up.
    """
    body = bytearray()
    try:
        # What is declared too large is refused before any of it is read.
        declared = request.headers.get("content-length", "")
        _check(int(declared) if declared.isdecimal() else 0, limits)
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                take(len(part))
                _check(len(body) + len(part), limits)
                body += part
    except TimeoutError as reason:
        raise Refused(
            408, f"the body did not arrive within {limits.body_seconds:g} s", "send it faster, or less of it", _CLOSE
        ) from reason
    except Refused as refused:
        await _linger(request)
        refused.headers |= _CLOSE
        raise
    return body


def _check(size: int, limits: Limits) -> None:
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
