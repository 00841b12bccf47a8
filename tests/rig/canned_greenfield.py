"""A BTCPay Server with answers that a test sets by path, over real HTTP on loopback."""

import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.rig import vectors
from tests.rig.deadline import DEADLINE_SECONDS

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import RetryPolicy
from raised.btcpay.settings import StoreSettings
from raised_simnet.http.http_server import Request, Response, WebServer

VECTORS: Final = vectors.BTCPAY
STORE: Final = "EqevX4KsotQEFnRhVshPqdP5mtzjXiiV4fEFogKmuEbB"
KEY: Final = "5ec4e7" * 6 + "beef"
KEPT: Final = frozenset({"orderId", "campaign"})
FAST_RETRY: Final = RetryPolicy(
    base_seconds=0.001,
    connect_seconds=DEADLINE_SECONDS,
    read_seconds=DEADLINE_SECONDS,
    whole_seconds=DEADLINE_SECONDS,
    page_seconds=0.0,
)
BASE: Final = "/pay/here/api/v1"

Answer = Response | Callable[[Request], Response | Awaitable[Response]]


def vector(name: str) -> Any:
    """The JSON of a vector."""
    return json.loads((VECTORS / f"{name}.json").read_text())


def json_response(value: object, status: int = 200) -> Response:
    """JSON as the server sends it."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return Response(status, body, "application/json; charset=utf-8")


class CannedGreenfield:
    """Answers by path below the base, in order, and the last one from then on; else 404.

    `*` answers every path without answers of its own.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[str, deque[Answer]] = {}
        self._web = WebServer(self._answer)
        self._clients: list[Greenfield] = []

    def answer(self, path: str, *answers: Answer) -> None:
        """Set the answers of this path; one that begins with `/` is below the store's."""
        whole = f"stores/{STORE}{path}" if path.startswith("/") else path
        self._answers[f"{BASE}/{whole}" if whole != "*" else "*"] = deque(answers)

    @property
    def url(self) -> str:
        """The base address, with a path as behind many proxies."""
        return f"{self._web.url}/pay/here"

    def start(self) -> None:
        self._web.start()

    def stop(self) -> None:
        self._web.stop()

    def refuse(self) -> None:
        """Refuse connections."""
        self._web.refuse(refuse=True)

    def paths(self) -> list[str]:
        """The paths that were asked for, below the store's or the base."""
        return [request.path.removeprefix(f"{BASE}/stores/{STORE}") for request in self.requests]

    def client(self, **changes: Any) -> Greenfield:
        """A client of a store of this server."""
        settings: dict[str, Any] = {
            "label": "shop",
            "url": self.url,
            "store_id": STORE,
            "api_key": KEY,
            "kept_metadata": KEPT,
        }
        gate = changes.pop("gate", None)
        retry_policy = changes.pop("retry_policy", FAST_RETRY)
        greenfield = Greenfield(
            StoreSettings(**{**settings, **changes}), request_slots=gate, retry_policy=retry_policy
        )
        self._clients.append(greenfield)
        return greenfield

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    def _answer(self, request: Request) -> Response | Awaitable[Response]:
        self.requests.append(request)
        answers = self._answers.get(request.path) or self._answers.get("*")
        if not answers:
            return Response(404, content_type="")
        answer = answers[0] if len(answers) == 1 else answers.popleft()
        return answer if isinstance(answer, Response) else answer(request)
