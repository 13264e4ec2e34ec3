"""Which internet addresses a server may connect to because a stranger asked it to."""

import ipaddress
import socket

_NOT_ALONE = ("64:ff9b::/96", "2002::/16", "2001::/32", "::/96", "::ffff:0:0/96", "fec0::/10")
"""IPv6 addresses that Python takes for public, though they wrap an IPv4 address, which may be private, or are a site's
own in an old manner."""

_HOSTS_OWN = ("168.63.129.16/32",)
"""Public by number, though every machine of Azure reaches its own host there, which hands out settings and keys."""

_REFUSED = [ipaddress.ip_network(one) for one in (*_NOT_ALONE, *_HOSTS_OWN)]


def is_public(address: str) -> bool:
    """Whether an address, as numbers, is one of the public internet and of one host."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_link_local:
        return False
    return not any(parsed in network for network in _REFUSED)


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as numbers; none where it is not known."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
