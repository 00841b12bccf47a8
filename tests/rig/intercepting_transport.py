"""An HTTP transport between the source and its explorers that can answer in their place."""

from collections.abc import Callable

import httpx

Answer = Callable[[str], httpx.Response | None]


class InterceptingTransport(httpx.AsyncBaseTransport):
    """Passes every request on, unless `instead` has an answer for its path.

    `instead_of`: the same for the requests to one explorer, by its address.
    `asked`: how many requests came by. `before` is called with that number before each.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.before: Callable[[int], None] = lambda _: None
        self.instead: Answer = lambda _: None
        self.instead_of: dict[str, Answer] = {}
        self._http = httpx.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of `instead`, or the explorer's own."""
        self.requests += 1
        self.before(self.requests)
        response = self.instead(request.url.path)
        for url, instead in self.instead_of.items():
            if response is None and str(request.url).startswith(url):
                response = instead(request.url.path)
        return await self._http.handle_async_request(request) if response is None else response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
