"""The address that a request comes from: the peer, or the one that a trusted proxy names."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from litestar.types import Scope

_FORWARDED = b"x-forwarded-for"


def client_address(scope: Scope, trusted_proxies: tuple[str, ...]) -> str:
    """The address of the caller. `trusted_proxies`: addresses or networks.

    Each proxy appends the address it has seen, and the left end is what the caller made up: so the
    list is read from the right, and ends at the first address that is no proxy of ours.
    """
    client = scope["client"]
    address = client[0] if client else ""
    if not is_within(address, trusted_proxies):
        return address
    for name, value in scope["headers"]:
        if name == _FORWARDED:
            for part in reversed(value.decode("latin-1").split(",")):
                address = _without_port(part.strip())
                if not is_within(address, trusted_proxies):
                    return address
    return address


def is_loopback(address: str) -> bool:
    """Whether the address is of this machine."""
    return is_within(address, ("127.0.0.0/8", "::1"))


@lru_cache(maxsize=4096)
def limited_address(address: str) -> str:
    """What limits are counted by: an IPv4 address, also when it is written as IPv6, and of IPv6 the
    network /64, since everybody has at least one of those to choose addresses from.
    """
    try:
        ip = _parsed(address)
    except ValueError:
        return address
    return str(ip) if ip.version == 4 else f"{IPv6Address(int(ip) >> 64 << 64)}/64"


def _parsed(address: str) -> IPv4Address | IPv6Address:
    ip = ip_address(address)
    return ip if ip.version == 4 else ip.ipv4_mapped or ip


def _without_port(text: str) -> str:
    """The address of `a.b.c.d:port` or `[a::b]:port`: so some proxies write it."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


# Parsing an address and networks takes longer than all else of a cached response.
@lru_cache(maxsize=4096)
def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether the address is one of these, or of these networks."""
    try:
        ip = _parsed(address)
    except ValueError:
        return False
    return any(ip in ip_network(network) for network in networks)
