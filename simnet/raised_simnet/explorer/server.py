"""A block explorer on loopback: real HTTP over the chain, with faults on demand."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.bitcoin.chain_view import ChainView
from raised_simnet.explorer.electrum_routes import ELECTRUM_ROUTES
from raised_simnet.explorer.esplora_routes import ESPLORA, ROUTES, ExplorerDialect, ExplorerRequest
from raised_simnet.explorer.faults import Faults
from raised_simnet.explorer.mempool_routes import MEMPOOL, MEMPOOL_ROUTES
from raised_simnet.http.http_server import Request, Response, WebServer
from raised_simnet.http.url_routing import HttpError, RouteMatch, Router

_REMEMBERED: Final = 10_000
_NO_PAGE: Final = b"<html>\r\n<head><title>404 Not Found</title></head>\r\n</html>\r\n"


class Flavour(StrEnum):
    """Which server software it plays. Source: docs/chain-api.md 2."""

    ESPLORA = "esplora"  # A: Blockstream/electrs
    MEMPOOL = "mempool"  # B: mempool/electrs with the mempool backend
    ELECTRUM = "electrum"  # C: the mempool backend on an Electrum server


@dataclass(frozen=True, slots=True)
class _Software:
    """`bases`: where its routes are, the first one named in `url`."""

    bases: tuple[str, ...]
    router: Router[ExplorerRequest]
    dialect: ExplorerDialect
    powered_by: str | None = None


_SOFTWARE: Final = {
    Flavour.ESPLORA: _Software(("/api",), ROUTES, ESPLORA),
    Flavour.MEMPOOL: _Software(("/api",), MEMPOOL_ROUTES, MEMPOOL, "mempool-electrs 3.1.0"),
    Flavour.ELECTRUM: _Software(("/api/v1", "/api"), ELECTRUM_ROUTES, MEMPOOL, "Express"),
}


class Explorer:
    """One server. `counts`: requests by route name; `recent_paths`: the newest, oldest first.

    `view` and `faults` may be changed at any time from any thread: `faults = Faults()` heals all.
    """

    def __init__(
        self, chain: RegtestChain, flavour: Flavour = Flavour.ESPLORA, *, port: int = 0
    ) -> None:
        self.flavour = flavour
        self.view = ChainView(chain)
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.recent_paths: deque[str] = deque(maxlen=_REMEMBERED)
        self._software = _SOFTWARE[flavour]
        self._web = WebServer(self.answer, port=port)

    @property
    def url(self) -> str:
        """The base of its routes."""
        return self._web.url + self._software.bases[0]

    def start(self) -> None:
        """Listen."""
        self._web.start()

    def stop(self) -> None:
        """End."""
        self._web.stop()

    def down(self) -> None:
        """Refuse connections and drop those there are, until `up`."""
        self._web.refuse(refuse=True)

    def up(self) -> None:
        """Listen again on the same port."""
        self._web.refuse(refuse=False)

    def forget(self) -> None:
        """Count from zero again."""
        self.counts.clear()
        self.recent_paths.clear()

    async def answer(self, request: Request) -> Response:
        """Answer a request, as the server does."""
        bases = (base for base in self._software.bases if request.path.startswith(base + "/"))
        base = next(bases, None)
        if base is None:
            return Response(404, _NO_PAGE, "text/html")
        path = request.path[len(base) :]
        match = self._software.router.find(request.method, path[1:])
        name = match.name if match else "unknown"
        self.counts[name] += 1
        self.recent_paths.append(path)
        faults = self.faults
        struck = faults.strikes(name, path)
        if struck and faults.delay_seconds:
            await asyncio.sleep(faults.delay_seconds)
        response = self._honest(match, request) if match else self._unknown(request, path)
        return faults.instead(response, path) if struck else response

    def _unknown(self, request: Request, path: str) -> Response:
        if self.flavour is Flavour.ELECTRUM or path.startswith("/v1/"):
            page = f"<pre>Cannot {request.method} {request.path}</pre>\n"
            return Response(404, page.encode(), "text/html; charset=utf-8")
        return Response(404, f'endpoint does not exist "{path}"'.encode())

    def _honest(self, match: RouteMatch[ExplorerRequest], request: Request) -> Response:
        parsed = ExplorerRequest(
            self._software.dialect, self.view, self.faults, match.params, request
        )
        with self.view.chain.lock:
            try:
                response = match.answer(parsed)
            except HttpError as refusal:
                response = refusal.response
        if self._software.powered_by is None:
            return response
        headers = {**response.headers, "X-Powered-By": self._software.powered_by}
        return replace(response, headers=headers)
