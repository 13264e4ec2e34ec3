"""Pictures from addresses that strangers name, for servers that were started with --allow-urls.

Each name is resolved once, all its addresses must be public, and the connection goes to the address that was checked:
a name that points elsewhere a moment later gains nothing. Redirects pass through the same checks.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import SplitResult, urljoin, urlsplit

from jointune import __version__
from jointune.serve.addresses import is_public, resolve
from jointune.serve.refusal import Refused

_REDIRECTS = 3
_PORTS = {"http": 80, "https": 443}
_SEND = "send the picture itself"


class Fetcher:
    """Gets pictures over HTTP; for several threads.

    Args:
        max_bytes: of one picture.
        seconds: for one picture, redirects included; looking up names takes what the system allows.
        allowed: which addresses may be connected to.
        ports: which ports may be connected to.
        secure: whom to trust over https; by default, whom the system trusts.
    """

    def __init__(
        self,
        max_bytes: int,
        seconds: float = 5.0,
        allowed: Callable[[str], bool] = is_public,
        ports: Container[int] = tuple(_PORTS.values()),
        secure: ssl.SSLContext | None = None,
    ) -> None:
        self._max_bytes, self._seconds, self._allowed, self._ports = max_bytes, seconds, allowed, ports
        self._secure = secure or ssl.create_default_context()

    def __call__(self, url: str) -> bytes:
        """The content at ``url``.

        Raises:
            Refused: 413 or 422; the message never tells what a forbidden address answers, nor which addresses exist.
        """
        until = time.monotonic() + self._seconds
        try:
            for _ in range(_REDIRECTS + 1):
                found = self._get(_checked(url), until)
                if isinstance(found, bytes):
                    return found
                url = urljoin(url, found)
        except (OSError, HTTPException, ValueError) as reason:
            raise Refused(422, f"the picture could not be fetched ({type(reason).__name__})", _SEND) from reason
        raise Refused(422, f"more than {_REDIRECTS} redirects", "name the address they lead to")

    def _get(self, url: SplitResult, until: float) -> bytes | str:
        """The content, or where a redirect leads."""
        connection, stop = self._connect(url, until)
        try:
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            agent = f"jointune/{__version__}"
            connection.request("GET", target, headers={"User-Agent": agent, "Accept": "image/*"})
            # Where the server is to end the connection, closing it here leaves the socket to the answer.
            with connection.getresponse() as response:
                if response.status in (301, 302, 303, 307, 308):
                    return response.getheader("Location") or ""
                if response.status != 200:
                    raise Refused(422, f"its server answered with status {response.status}", _SEND)
                return self._content(response, until)
        finally:
            stop.cancel()
            connection.close()

    def _connect(self, url: SplitResult, until: float) -> tuple[HTTPConnection, threading.Timer]:
        host, port = str(url.hostname), _PORTS[url.scheme] if url.port is None else url.port
        if port not in self._ports:
            raise Refused(422, f"port {port}, which pictures are not fetched from", "name an address without a port")
        addresses = resolve(host, port)
        if not addresses or not all(map(self._allowed, addresses)):
            raise Refused(422, "its host is not known or not public", _SEND)
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        line = socket.create_connection((addresses[0], port), timeout=left)
        # A socket's timeout begins anew with each byte; this one ends the whole exchange.
        stop = threading.Timer(max(0.0, until - time.monotonic()), lambda: _hang_up(line))
        stop.daemon = True
        try:
            if url.scheme == "https":
                # Shaking hands waits for the other side, so that the clock runs by then.
                line = self._secure.wrap_socket(line, server_hostname=host, do_handshake_on_connect=False)
            stop.start()
            if isinstance(line, ssl.SSLSocket):
                line.do_handshake()
        except Exception:
            stop.cancel()
            line.close()
            raise
        connection = HTTPConnection(host, port)
        connection.sock = line
        return connection, stop

    def _content(self, response: HTTPResponse, until: float) -> bytes:
        content = bytearray()
        while True:
            part = response.read1(65_536)
            if time.monotonic() >= until:  # the end may be the clock's doing
                raise TimeoutError
            if not part:
                return bytes(content)
            content += part
            if len(content) > self._max_bytes:
                raise Refused(413, f"larger than {self._max_bytes:,} bytes", "save it smaller")


def _checked(url: str) -> SplitResult:
    if any(not 32 < ord(character) < 127 for character in url):
        raise Refused(422, "characters that an address cannot hold", "encode them with %")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise Refused(422, "neither http nor https", "name an address that begins with https://")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise Refused(422, "no host, or a user's name in the address", "name an address without")
    return parts


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):
        # Not by a method of TLS's socket, which would have the reader go on without TLS.
        socket.socket.shutdown(line, socket.SHUT_RDWR)
