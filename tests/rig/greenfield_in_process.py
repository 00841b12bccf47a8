"""A fake server that answers in process, and faults that concern its invoices and routes.

For tests in simulated time, which no real connection could follow.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qs

import httpx
from tests.rig.fake_greenfield import BELOW, ROOT, FakeGreenfield

from raised_simnet.http.http_server import Request, Response

URL: Final = "http://shop.example"
# What befalls answers: an error, no answer in time, no JSON; of one invoice, its row misshapen.
Fault = Literal["error", "slow", "broken", "refused", "misshapen"]
# What befalls: pages with payment methods that show the invoice; all pages that do; also what is
# asked about it alone.
Reach = Literal["inline", "pages", "alone"]
_SLOW_SECONDS: Final = 31.0


@dataclass
class Faults:
    """The faults of now: of invoices by id, and of routes below the store or the base."""

    invoices: dict[str, tuple[Fault, frozenset[Reach]]] = field(default_factory=dict)
    routes: dict[str, Fault] = field(default_factory=dict)


class GreenfieldInProcess(httpx.AsyncBaseTransport):
    """The transport to the fake server. `times`: of each request, by the loop's clock."""

    def __init__(self, server: FakeGreenfield, faults: Faults) -> None:
        self.server = server
        self.faults = faults
        self.times: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The server's answer, or that of a fault."""
        self.times.append(asyncio.get_running_loop().time())
        query = request.url.query.decode()
        path = request.url.path
        asked = Request(request.method, path, parse_qs(query), {}, b"", f"{path}?{query}")
        honest = self.server._route(asked)
        fault = self._fault(asked, honest)
        if fault == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
            raise httpx.ReadTimeout("slow")
        response = honest if fault is None else self._instead(fault, honest)
        headers = {"Content-Type": response.content_type}
        return httpx.Response(response.status, headers=headers, content=response.body)

    def _fault(self, asked: Request, honest: Response) -> Fault | None:
        path = asked.path
        for route, fault in self.faults.routes.items():
            if path in (f"{BELOW}/{route}", f"{ROOT}{route}", f"{BELOW}{route}"):
                return fault
        met = [
            fault
            for invoice_id, (fault, reaches) in self.faults.invoices.items()
            if self._befalls(asked, honest, invoice_id, fault, reaches)
        ]
        return min(met, key=lambda fault: fault == "misshapen", default=None)

    def _befalls(
        self,
        asked: Request,
        honest: Response,
        invoice_id: str,
        fault: Fault,
        reaches: frozenset[Reach],
    ) -> bool:
        if asked.path == f"{BELOW}/invoices":
            shown = f'"{invoice_id}"'.encode() in honest.body
            return shown and self._befalls_page(asked, fault, reaches)
        return asked.path.startswith(f"{BELOW}/invoices/{invoice_id}") and "alone" in reaches

    def _befalls_page(self, asked: Request, fault: Fault, reaches: frozenset[Reach]) -> bool:
        inline = asked.query.get("includePaymentMethods") == ["true"]
        return fault == "misshapen" or "pages" in reaches or (inline and "inline" in reaches)

    def _instead(self, fault: Fault, honest: Response) -> Response:
        match fault:
            case "error":
                return Response(500, b"", "")
            case "refused":
                return Response(403, b"<html></html>", "text/html")
            case "broken":
                return Response(200, honest.body[: len(honest.body) // 2], "application/json")
            case _:
                return Response(200, self._misshapen(honest.body), "application/json")

    def _misshapen(self, body: bytes) -> bytes:
        value = json.loads(body)
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            if self.faults.invoices.get(row.get("id"), ("", ()))[0] == "misshapen":
                row["amount"] = {"not": "an amount"}
        return json.dumps(value).encode()
