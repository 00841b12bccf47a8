"""The address that a request comes from: the peer, or the one that a trusted proxy names."""

from functools import lru_cache
from ipaddress import ip_address, ip_network

from litestar.types import Scope

_FORWARDED = b"x-forwarded-for"


def client_address(scope: Scope, trusted_proxies: tuple[str, ...]) -> str:
    """The address of the caller. `trusted_proxies`: addresses or networks.

    Each proxy appends the address it has seen, and the left end is what the caller made up: so the
    list is read from the right, and ends at the first address that is no proxy of ours.
    """
    client = scope["client"]
    address = client[0] if client else ""
    if not _is_within(address, trusted_proxies):
        return address
    for name, value in scope["headers"]:
        if name == _FORWARDED:
            for part in reversed(value.decode("latin-1").split(",")):
                address = part.strip()
                if not _is_within(address, trusted_proxies):
                    return address
    return address


def is_loopback(address: str) -> bool:
    """Whether the address is of this machine."""
    return _is_within(address, ("127.0.0.0/8", "::1"))


# Parsing an address and networks takes longer than all else of a cached response.
@lru_cache(maxsize=4096)
def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in ip_network(network) for network in networks)
