"""Which internet addresses a server may connect to because a stranger asked it to."""

import ipaddress
import socket

_SPECIAL = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
240.0.0.0/4
2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3ffe::/16 3fff::/20
"""
"""IANA's registries of special addresses, whole blocks: which parts of them Python takes for public depends on its
version. In IPv6, also those that wrap an address of IPv4 (6to4, Teredo), which may be private."""

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All that has been given out of IPv6: what is mapped from IPv4, translated to it (NAT64) or of a site lies outside."""

_HOSTS_OWN = ("168.63.129.16/32",)
"""Public by number, though every machine of Azure reaches its own host there, which hands out settings and keys."""

_REFUSED = [ipaddress.ip_network(block) for block in (*_SPECIAL.split(), *_HOSTS_OWN)]


def is_public(address: str) -> bool:
    """Whether an address, as numbers, is one of the public internet and of one host."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not parsed.is_global or (parsed.version == 6 and parsed not in _GLOBAL_UNICAST):
        return False
    return not any(parsed in network for network in _REFUSED)


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as numbers; none where it is not known."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
