"""Under which names a server answers.

A page of another site can have its own name lead to this machine (DNS rebinding), and its visitors' browsers then take
what is answered here for that site's own. Such a request has the other site's name as its Host.
"""

import ipaddress
import re
from collections.abc import Iterable, Set

from starlette.types import Scope

from jointune.errors import SettingsError, setting
from jointune.serve.refusal import Refused

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Always allowed: no other site can have these names."""

_NAME = r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]"
_HOST = rf"({_NAME})(?::[0-9]{{1,5}})?"


def allowed_hosts(address: str, names: Iterable[str]) -> frozenset[str]:
    """The names under which a server answers.

    Args:
        address: that it listens on, as numbers.
        names: that it was given.

    Raises:
        SettingsError: one of them is none, or others than this machine can reach it and there are none.
    """
    listening = ipaddress.ip_address(address)
    given = frozenset(_plain(name) for name in names)
    if not listening.is_loopback and not given:
        raise SettingsError(
            f"{setting('host')} {address} lets other machines in: say with {setting('allowed_host')} by "
            "which names or addresses they reach this one, such as models.example.org",
            setting="host",
        )
    return LOOPBACK | given | ({_plain(address)} if listening.is_loopback else set())


def check_host(scope: Scope, allowed: Set[str]) -> None:
    """See that a request is meant for this server, and comes from no page of another one.

    Args:
        scope: of the request.
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
        # A proxy may call the server by another name than browsers do, which then is one that was given.
        if site is None or (site[1] != host[0] and site[2] not in allowed - LOOPBACK):
            raise Refused(403, "the page of another site sent this request", "send it from a page of this server")


def _plain(name: str) -> str:
    """A name as it is compared; an address of IPv6 in brackets, as in a URL.

    Raises:
        SettingsError: it is neither a name nor an address.
    """
    try:
        address = ipaddress.ip_address(name.strip("[]"))
        return f"[{address}]" if address.version == 6 else str(address)
    except ValueError:
        plain = name.lower()
        if not re.fullmatch(_NAME, plain):
            raise SettingsError(
                f"{setting('allowed_host', name)}: give a name or an address alone, such as "
                "models.example.org, without http:// and port",
                setting="allowed_host",
            ) from None
        return plain
