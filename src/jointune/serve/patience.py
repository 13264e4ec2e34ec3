"""Work for a client, given up when it takes too long or nobody waits for it any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from jointune.serve.refusal import busy

T = TypeVar("T")


async def while_waiting(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The result of ``work``; it is cancelled where there is none.

    Args:
        request: whose body has been read.
        work: what its client waits for.
        seconds: how long it may take.

    Raises:
        Refused: 503, it took longer.
        ClientDisconnect: the client hung up.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientDisconnect
        raise busy(f"not done within {seconds:g} s")
    finally:
        gone.cancel()
        task.cancel()
        # What it holds is given back before the next request is looked at.
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not complain of one that nobody asked for


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
