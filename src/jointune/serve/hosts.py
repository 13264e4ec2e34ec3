"""The names under which a server answers.

The page of another site can have its own name lead to this machine (DNS rebinding), and its visitors' browsers then
treat what is answered here as that site's own. Such a request has the other site's name as its Host.
"""

import ipaddress
import re
from collections.abc import Iterable, Set

from starlette.types import Scope

from jointune.errors import SettingsError, setting
from jointune.serve.refusal import Refused

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})  # always allowed: no other site can have these names

_NAME = r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]"
_HOST = rf"({_NAME})(?::[0-9]{{1,5}})?"


def allowed_hosts(address: str, names: Iterable[str]) -> frozenset[str]:
    """Return the names under which a server answers.

    Args:
        address: IP address that it listens on.
        names: further names that the user allows.

    Raises:
        SettingsError: a name is not valid, or there is none though other machines can reach the server.
    """
    listening = ipaddress.ip_address(address)
    allowed = frozenset(_normalised(name) for name in names)
    if listening.is_loopback:
        return LOOPBACK | allowed | {_normalised(address)}
    if not allowed:
        raise SettingsError(
            f"{setting('host')} {address} lets other machines in",
            f"say with {setting('allowed_host')} by which names or addresses they reach this one, such as "
            "models.example.org",
            setting="host",
        )
    return LOOPBACK | allowed


def _normalised(name: str) -> str:
    """Return a name in small letters, an IPv6 address in brackets, as in a URL."""
    try:
        address = ipaddress.ip_address(name.strip("[]"))
        return f"[{address}]" if address.version == 6 else str(address)
    except ValueError:
        if not re.fullmatch(_NAME, name.lower()):
            raise SettingsError(
                f"{setting('allowed_host', name)}: not a name or an address",
                "give one alone, such as models.example.org, without http:// and port",
                setting="allowed_host",
            ) from None
        return name.lower()


def check_host(scope: Scope, allowed: Set[str]) -> None:
    """Check that a request is meant for this server, and does not come from a page of another one.

    Args:
        scope: the request's ASGI scope.
        allowed: from ``allowed_hosts``.

    Raises:
        Refused: 421, it is meant for another host; 403, the page of another site sent it.
    """
    hosts, origins = (
        [value.decode("latin-1").lower() for name, value in scope["headers"] if name == wanted]
        for wanted in (b"host", b"origin")
    )
    host = re.fullmatch(_HOST, hosts[0]) if len(hosts) == 1 else None
    if host is None or host[1] not in allowed:
        raise Refused(
            421,
            "this server does not answer under the name that the request has as its Host",
            "use another name, or ask whoever runs the server to allow this one",
        )
    for origin in origins:
        site = re.fullmatch(f"https?://({_HOST})", origin)
        # A proxy may call the server by another name than browsers do; browsers then use an allowed name.
        if site is None or (site[1] != host[0] and site[2] not in allowed - LOOPBACK):
            raise Refused(403, "the page of another site sent this request", "send it from a page of this server")
