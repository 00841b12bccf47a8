"""Explorers of the simnet without the network between: requests are answered in the same loop."""

from collections.abc import Sequence
from urllib.parse import parse_qs

import httpx

from raised_simnet.explorer.server import Explorer
from raised_simnet.http.http_server import Request


class DirectTransport(httpx.AsyncBaseTransport):
    """Answers for these explorers."""

    def __init__(self, explorers: Sequence[Explorer]) -> None:
        self._explorers = {httpx.URL(explorer.url).port: explorer for explorer in explorers}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The explorer's answer; one that is cut off ends in an error, as on the network."""
        explorer = self._explorers[request.url.port]
        query = parse_qs(request.url.query.decode(), keep_blank_values=True)
        asked = Request(request.method, request.url.path, query, {}, b"")
        answer = await explorer.answer(asked)
        if answer.cut_at is not None:
            raise httpx.ReadError("the connection broke")
        headers = {"Content-Type": answer.content_type, **answer.headers}
        return httpx.Response(answer.status, headers=headers, content=answer.body)
