"""Fetch images from addresses that clients name, for servers that are allowed to.

Each name is resolved once, all its addresses must be public, and the connection goes to the address that was checked:
a name that points elsewhere a moment later gains nothing. Redirects pass through the same checks.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import SplitResult, urljoin, urlsplit

from jointune import __version__
from jointune.serve.refusal import Refused

_SPECIAL = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
240.0.0.0/4
2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3ffe::/16 3fff::/20
"""
"""IANA's registries of special addresses, whole blocks: which parts of them Python takes for public depends on its
version. In IPv6, also those that wrap an address of IPv4 (6to4, Teredo), which may be private."""

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that has been assigned: addresses mapped from IPv4, translated to it (NAT64) or of a site lie outside."""

_AZURE_HOST = "168.63.129.16/32"
"""Public by number, though every machine of Azure reaches its own host there, which hands out settings and keys."""

_FORBIDDEN = [ipaddress.ip_network(block) for block in (*_SPECIAL.split(), _AZURE_HOST)]
_REDIRECTS = 3
_PORTS = {"http": 80, "https": 443}
_SEND = "send the picture itself"


def is_public(address: str) -> bool:
    """Tell whether a numeric address belongs to a single host of the public internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not parsed.is_global or (parsed.version == 6 and parsed not in _GLOBAL_UNICAST):
        return False
    return not any(parsed in network for network in _FORBIDDEN)


def resolve(host: str, port: int) -> list[str]:
    """Return all numeric addresses of a host; none if it is not known."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class Fetcher:
    """Fetches images over HTTP; safe to call from several threads.

    Args:
        max_bytes: bytes of one image.
        seconds: for one image, redirects included; resolving a name takes as long as the system allows.
        allowed: tells which addresses may be connected to.
        ports: ports that may be connected to.
        tls: whom to trust over https; by default, whom the system trusts.
        resolve: returns all addresses of a host.
        connect: returns a socket that is connected to an address and a port.
    """

    def __init__(
        self,
        max_bytes: int,
        seconds: float = 5.0,
        allowed: Callable[[str], bool] = is_public,
        ports: Container[int] = tuple(_PORTS.values()),
        tls: ssl.SSLContext | None = None,
        resolve: Callable[[str, int], list[str]] = resolve,
        connect: Callable[..., socket.socket] = socket.create_connection,
    ) -> None:
        self._max_bytes, self._seconds, self._allowed, self._ports = max_bytes, seconds, allowed, ports
        self._tls, self._resolve, self._open_socket = tls or ssl.create_default_context(), resolve, connect

    def __call__(self, url: str) -> bytes:
        """Return the content at an address.

        Raises:
            Refused: 413 or 422; the message never tells what a forbidden address answers, nor which addresses exist.
        """
        deadline = time.monotonic() + self._seconds
        try:
            for _ in range(_REDIRECTS + 1):
                answer = self._get(_checked(url), deadline)
                if isinstance(answer, bytes):
                    return answer
                url = urljoin(url, answer)
        except (OSError, HTTPException, ValueError) as error:
            raise Refused(422, f"the picture could not be fetched ({type(error).__name__})", _SEND) from error
        raise Refused(422, f"more than {_REDIRECTS} redirects", "name the address they lead to")

    def _get(self, url: SplitResult, deadline: float) -> bytes | str:
        """Return the content, or the address that a redirect leads to."""
        connection, timer = self._connect(url, deadline)
        try:
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("GET", target, headers={"User-Agent": f"jointune/{__version__}", "Accept": "image/*"})
            # If the server is to end the connection, closing it here leaves the socket to the answer.
            with connection.getresponse() as response:
                if response.status in (301, 302, 303, 307, 308):
                    return response.getheader("Location") or ""
                if response.status != 200:
                    raise Refused(422, f"its server answered with status {response.status}", _SEND)
                return self._content(response, deadline)
        finally:
            timer.cancel()
            connection.close()

    def _connect(self, url: SplitResult, deadline: float) -> tuple[HTTPConnection, threading.Timer]:
        host, port = str(url.hostname), _PORTS[url.scheme] if url.port is None else url.port
        if port not in self._ports:
            raise Refused(422, f"port {port}, which pictures are not fetched from", "name an address without a port")
        addresses = self._resolve(host, port)
        if not addresses or not all(map(self._allowed, addresses)):
            raise Refused(422, "its host is not known or not public", _SEND)
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connected = self._open_socket((addresses[0], port), timeout=left)
        # A socket's timeout begins anew with each byte; this timer ends the whole exchange.
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), lambda: _hang_up(connected))
        timer.daemon = True
        try:
            if url.scheme == "https":
                # The handshake waits for the other side, so the timer must run before it.
                connected = self._tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            timer.start()
            if isinstance(connected, ssl.SSLSocket):
                connected.do_handshake()
        except Exception:
            timer.cancel()
            connected.close()
            raise
        connection = HTTPConnection(host, port)
        connection.sock = connected
        return connection, timer

    def _content(self, response: HTTPResponse, deadline: float) -> bytes:
        content = bytearray()
        while True:
            part = response.read1(65_536)
            if time.monotonic() >= deadline:  # the timer may have ended the connection
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


def _hang_up(connected: socket.socket) -> None:
    with suppress(OSError):
        # Not by a method of the TLS socket, which would have the reader go on without TLS.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
