"""A block explorer on loopback: real HTTP over the chain, with faults on demand."""

import asyncio
from collections import Counter, deque
from typing import Final

from raised_simnet.chain import RegtestChain
from raised_simnet.esplora_routes import ROUTES, Asked
from raised_simnet.faults import Faults
from raised_simnet.routing import Answer, Refusal, Router
from raised_simnet.view import ChainView
from raised_simnet.web import Request, Response, WebServer

_REMEMBERED: Final = 10_000
_NO_PAGE: Final = b"<html>\r\n<head><title>404 Not Found</title></head>\r\n</html>\r\n"


class Explorer:
    """One server. `counts`: requests by route name; `asked`: the newest paths, oldest first.

    `view` and `faults` may be changed at any time from any thread: `faults = Faults()` heals all.
    """

    base: Final = "/api"

    def __init__(self, chain: RegtestChain, *, port: int = 0) -> None:
        self.view = ChainView(chain)
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.asked: deque[str] = deque(maxlen=_REMEMBERED)
        self.router: Router[Asked] = ROUTES
        self._web = WebServer(self._answer, port=port)

    @property
    def url(self) -> str:
        """The base of its routes."""
        return self._web.url + self.base

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
        self.asked.clear()

    async def _answer(self, request: Request) -> Response:
        if not request.path.startswith(self.base + "/"):
            return Response(404, _NO_PAGE, "text/html")
        path = request.path[len(self.base) :]
        found = self.router.find(request.method, path[1:])
        name = found.name if found else "unknown"
        self.counts[name] += 1
        self.asked.append(path)
        faults = self.faults
        struck = faults.strikes(name)
        if struck and faults.delay_seconds:
            await asyncio.sleep(faults.delay_seconds)
        if found is None:
            response = Response(404, f'endpoint does not exist "{path}"'.encode())
        else:
            response = self._honest(found.answer, Asked(self.view, faults, found.params, request))
        return faults.instead(response) if struck else response

    def _honest(self, answer: Answer[Asked], asked: Asked) -> Response:
        with self.view.chain.lock:
            try:
                return answer(asked)
            except Refusal as refusal:
                return refusal.response
