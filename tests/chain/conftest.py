"""An explorer that gives the answers it is told to."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from raised.chain.esplora import Esplora
from raised.chain.settings import ExplorerSettings, Pace
from raised.chain.wire import Wire

HURRY = Pace(per_second=1e6, burst=1000, attempts=3, base_seconds=0.001, cap_seconds=0.002)


class Teller:
    """An explorer with these answers, (status, text or JSON) by path; of all else, no route."""

    url = "http://explorer.test/api"

    def __init__(self, routes: Mapping[str, tuple[int, Any]]) -> None:
        self.routes = dict(routes)
        self.paths: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What it says, and note that it was asked."""
        path = request.url.raw_path.decode().removeprefix("/api")
        self.paths.append(path)
        status, content = self.routes.get(path, (404, f'endpoint does not exist "{path}"'))
        body = content.encode() if isinstance(content, str) else msgspec.json.encode(content)
        return httpx.Response(status, content=body)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A connection to it."""
        wire = Wire(ExplorerSettings(self.url, pace=HURRY), httpx.MockTransport(self.answer))
        try:
            yield wire
        finally:
            await wire.close()


@pytest.fixture(name="teller")
def _teller() -> type[Teller]:
    return Teller


@pytest.fixture
def meet() -> Callable[..., AbstractAsyncContextManager[Esplora]]:
    """The adapter before an explorer with these answers."""

    @asynccontextmanager
    async def met(routes: Mapping[str, tuple[int, Any]], hrp: str = "bc") -> AsyncIterator[Esplora]:
        async with Teller(routes).wire() as wire:
            yield Esplora(wire, hrp)

    return met
