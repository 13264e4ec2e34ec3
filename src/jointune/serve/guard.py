"""Applied to every request, whatever it asks for: host, token, an id, a line in the log, a count."""

import hmac
import secrets
import time
from collections.abc import Set

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jointune.serve.hosts import LOOPBACK, check_host
from jointune.serve.log import log_error, log_event
from jointune.serve.refusal import Refused
from jointune.serve.service_metrics import ServiceMetrics

OPEN = ("/", "/docs", "/healthz", "/readyz")
"""Routes without a token, for browsers and health probes, which can show none. They tell nothing of the model."""

_CLIENT_LEFT = 499


class Guard:
    """ASGI middleware, outside of everything else; its arguments are those of ``jointune.serve.app.make_app``."""

    def __init__(
        self, app: ASGIApp, metrics: ServiceMetrics, token: str | None = None, hosts: Set[str] = LOOPBACK
    ) -> None:
        self._app, self._metrics, self._hosts = app, metrics, hosts
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        start = time.perf_counter()
        try:
            check_host(scope, self._hosts)
            self._check_token(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Refused as refused:
            await refused.response()(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = _CLIENT_LEFT
        except Exception as error:
            log_error("failed", error, id=exchange.id)
            if not exchange.status:
                answer = Refused(500, "an error of the server", f"tell whoever runs it: request {exchange.id}")
                await answer.response()(scope, exchange.receive, exchange.send)
        finally:
            seconds = time.perf_counter() - start
            status = exchange.status or 503  # without an answer, the end of the server cut the request off
            self._metrics.count_request(scope["path"], status, seconds)
            log_event(
                "request",
                id=exchange.id,
                method=scope["method"],
                # The route's path, not the request's, which may be anything.
                route=getattr(scope.get("route"), "path", "other"),
                status=status,
                ms=round(1000 * seconds, 1),
                bytes_in=exchange.bytes_in,
                bytes_out=exchange.bytes_out,
                posts=scope.get("state", {}).get("posts", 0),
            )

    def _check_token(self, scope: Scope) -> None:
        if self._token is None or scope["path"] in OPEN:
            return
        scheme, _, token = Request(scope).headers.get("authorization", "").partition(" ")
        # The name of the scheme is case-insensitive; the token is compared in constant time.
        if not hmac.compare_digest(token.strip(" ").encode("latin-1"), self._token) or scheme.lower() != "bearer":
            raise Refused(
                401, "no valid token", "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )


class _Exchange:
    """Counts what is received and sent, and adds the id to the answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.id = secrets.token_hex(8)
        self.status = self.bytes_in = self.bytes_out = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), (b"x-request-id", self.id.encode())]}
        self.bytes_out += len(message.get("body", b""))
        await self._send(message)
