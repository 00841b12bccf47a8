"""Explorers that give canned answers by path, or those that were recorded from a server."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from tests.rig import vectors
from tests.rig.databases import Databases

from raised.chain.explorer.esplora import Esplora
from raised.chain.explorer.http import ExplorerHttp
from raised.chain.settings import ExplorerSettings, RateLimit

REGTEST: Final = vectors.CHAIN / "regtest"
UNLIMITED: Final = RateLimit(
    per_second=1e6, burst=1000, attempts=3, base_seconds=0.001, cap_seconds=0.002
)
# What a server answers for any script that was never used; the probe asks for the other.
UNUSED: Final = "/address/bcrt1q924sac60pdyr3fgtd8pckz7pj8z0qtu828tyep"
NOBODY: Final = "/address/bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202"


class CannedExplorer:
    """An explorer with these answers, (status, text or JSON) by path; of all else, no route."""

    url = "http://explorer.test/api"

    def __init__(self, routes: Mapping[str, tuple[int, Any]]) -> None:
        self.routes = dict(routes)
        self.paths: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer for this path, which is noted in `paths`."""
        path = request.url.raw_path.decode().removeprefix("/api")
        self.paths.append(path)
        status, content = self.routes.get(path, (404, f'endpoint does not exist "{path}"'))
        body = content.encode() if isinstance(content, str) else msgspec.json.encode(content)
        return httpx.Response(status, content=body)

    @asynccontextmanager
    async def http(self) -> AsyncIterator[ExplorerHttp]:
        """A connection to it."""
        http = ExplorerHttp(
            ExplorerSettings(self.url, rate_limit=UNLIMITED), httpx.MockTransport(self.answer)
        )
        try:
            yield http
        finally:
            await http.close()


@pytest.fixture
async def database_url(databases: Databases, tmp_path: Path) -> AsyncIterator[str]:
    """A record on SQLite alone: the chain source does not know the database it fills."""
    async with databases.migrated("sqlite", tmp_path) as url:
        yield url


@pytest.fixture(name="canned_explorer")
def _canned_explorer() -> type[CannedExplorer]:
    return CannedExplorer


@pytest.fixture
def meet() -> Callable[..., AbstractAsyncContextManager[Esplora]]:
    """The adapter before an explorer with these answers."""

    @asynccontextmanager
    async def met(routes: Mapping[str, tuple[int, Any]], hrp: str = "bc") -> AsyncIterator[Esplora]:
        async with CannedExplorer(routes).http() as http:
            yield Esplora(http, hrp)

    return met


@cache
def _read(name: str) -> Any:
    return json.loads((REGTEST / f"{name}.json").read_text())


@cache
def _raw_blocks() -> dict[str, bytes]:
    return {block["hash"]: bytes.fromhex(block["raw"] or "") for block in _read("chain")["blocks"]}


class RecordedExplorer:
    """An explorer as it was recorded in one snapshot; `show` is another moment of it."""

    url = "http://recorded.test/api"

    def __init__(self, snapshot: str) -> None:
        self.unknown_paths: list[str] = []
        self.paths: list[str] = []
        self.changed: dict[str, Any] = {}
        self.show(snapshot)

    def show(self, snapshot: str) -> None:
        """Answer from this snapshot from now on."""
        recorded_answers = _read(snapshot)
        below = (
            _read(recorded_answers["overlay_of"].removesuffix(".json"))
            if recorded_answers["overlay_of"]
            else {}
        )
        self._blocks: dict[str, Any] = below.get("blocks", {}) | recorded_answers["blocks"]
        self._txs = below.get("txs", {}) | recorded_answers["txs"]
        self._routes = below.get("routes", {}) | recorded_answers["routes"]
        for path in recorded_answers["removed_routes"]:
            del self._routes[path]
        self._routes[NOBODY] = self._routes[UNUSED]

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What was recorded for this request; a request that was not is noted."""
        path = request.url.raw_path.decode().removeprefix("/api")
        self.paths.append(path)
        route = self.changed.get(path) or self._routes.get(path)
        if route is None:
            self.unknown_paths.append(path)
            return httpx.Response(404, text=f'endpoint does not exist "{path}"')
        body = self._body(route)
        return httpx.Response(
            route["status"], content=body, headers={"Content-Type": route["type"]}
        )

    @asynccontextmanager
    async def meet(self) -> AsyncIterator[Esplora]:
        """The adapter before it."""
        http = ExplorerHttp(
            ExplorerSettings(self.url, rate_limit=UNLIMITED), httpx.MockTransport(self.answer)
        )
        try:
            yield Esplora(http, "bcrt")
        finally:
            await http.close()

    def block_objects(self) -> Mapping[str, Any]:
        """Every block object it can show, by hash."""
        return self._blocks

    def _body(self, route: Mapping[str, Any]) -> bytes:
        match route:
            case {"text": str(text)}:
                return text.encode()
            case {"raw_block": str(block_hash)}:
                return _raw_blocks()[block_hash]
            case _:
                return msgspec.json.encode(self._json(route))

    def _json(self, route: Mapping[str, Any]) -> Any:
        match route:
            case {"tx": str(txid)}:
                return self._txs[txid]
            case {"txs": list(txids)}:
                return [self._txs[txid] for txid in txids]
            case {"block": str(block_hash)}:
                return self._blocks[block_hash]
            case {"blocks": list(hashes)}:
                return [self._blocks[block_hash] for block_hash in hashes]
            case _:
                return route["json"]


@pytest.fixture
def recorded() -> Iterator[Callable[[str], RecordedExplorer]]:
    """Explorers by the name of their snapshot. A request that was not recorded fails the test.

    But for merkleblock-proof: most of these were left out, and the adapter does without.
    """
    opened: list[RecordedExplorer] = []

    def _open(snapshot: str) -> RecordedExplorer:
        opened.append(RecordedExplorer(snapshot))
        return opened[-1]

    yield _open
    missed = {path for explorer in opened for path in explorer.unknown_paths}
    assert not {path for path in missed if not path.endswith("/merkleblock-proof")}


@pytest.fixture
def story() -> Any:
    """The regtest chain: blocks, addresses and transactions by name (chain.json)."""
    return _read("chain")
