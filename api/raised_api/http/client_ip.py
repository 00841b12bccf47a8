"""Who asks: the peer, or the one a trusted proxy names."""

from functools import lru_cache
from ipaddress import ip_address, ip_network

from litestar.types import Scope

_FORWARDED = b"x-forwarded-for"


def client_address(scope: Scope, trusted: tuple[str, ...]) -> str:
    """The address that asks. Proxies' words are taken from the right, as long as they are ours."""
    client = scope["client"]
    address = client[0] if client else ""
    if not _is_within(address, trusted):
        return address
    for name, value in scope["headers"]:
        if name == _FORWARDED:
            for part in reversed(value.decode("latin-1").split(",")):
                address = part.strip()
                if not _is_within(address, trusted):
                    return address
    return address


def is_loopback(address: str) -> bool:
    """Whether the address is of this machine."""
    return _is_within(address, ("127.0.0.0/8", "::1"))


@lru_cache(maxsize=4096)
def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)
