"""What the tests of the HTTP client share."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.rig.canned_greenfield import (
    FAST_RETRY,
    KEY,
    STORE,
    json_response,
    vector,
)

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import RetryPolicy
from raised.btcpay.settings import StoreSettings
from raised.errors import SourceError
from raised_simnet.http.http_server import Response

HEALTH = json_response(vector("health"))
BUSY = Response(503, b"<html>back soon</html>", "text/html")
ONCE = replace(FAST_RETRY, attempts=1)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server of raw TCP, which can break HTTP; its port."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side is gone
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def client_of(
    url: str, retry_policy: RetryPolicy = ONCE, **changes: object
) -> AsyncIterator[Greenfield]:
    """A client of a store at this address."""
    settings = replace(StoreSettings("shop", url, STORE, KEY), **changes)  # type: ignore[arg-type]
    client = Greenfield(settings, retry_policy=retry_policy)
    try:
        yield client
    finally:
        await client.close()


async def failing(client: Greenfield) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await client.is_synchronized()
    return caught.value
