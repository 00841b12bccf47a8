"""A TCP connection through a SOCKS5 proxy, which resolves the host name. Source: RFC 1928."""

import asyncio
import contextlib
import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

_VERSION: Final = 5
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
_ADDRESS_SIZES: Final = {1: 4, 4: 16}  # IPv4, IPv6; a name says its own length


async def open_through_proxy(proxy: str, url: str) -> socket.socket:
    """A connection to the host of the URL by the proxy at `proxy`, an IP address and a port.

    Raises OSError, also when the proxy refuses.
    """
    host, port = proxy.rsplit(":", 1)
    family = socket.AF_INET6 if ipaddress.ip_address(host.strip("[]")).version == 6 else None
    connection = socket.socket(family or socket.AF_INET)
    connection.setblocking(False)  # noqa: FBT003
    try:
        await asyncio.get_running_loop().sock_connect(connection, (host.strip("[]"), int(port)))
        await _shake_hands(connection, url)
    except BaseException:
        with contextlib.suppress(OSError):
            connection.close()
        raise
    return connection


async def _shake_hands(connection: socket.socket, url: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, bytes([_VERSION, 1, 0]))  # without authentication
    if await _receive(connection, 2) != bytes([_VERSION, 0]):
        raise OSError("the proxy wants authentication")
    parts = urlsplit(url)
    name = (parts.hostname or "").encode("idna")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    request = bytes([_VERSION, 1, 0, 3, len(name)]) + name + port.to_bytes(2, "big")
    await loop.sock_sendall(connection, request)
    _, reply, _, kind = await _receive(connection, 4)
    if reply != 0:
        raise OSError("the proxy gave no connection")
    size = _ADDRESS_SIZES.get(kind) or (await _receive(connection, 1))[0]
    await _receive(connection, size + 2)


async def _receive(connection: socket.socket, size: int) -> bytes:
    loop, received = asyncio.get_running_loop(), b""
    while len(received) < size:
        part = await loop.sock_recv(connection, size - len(received))
        if not part:
            raise OSError("the proxy closed the connection")
        received += part
    return received
