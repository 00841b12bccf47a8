"""A BTCPay Server that gives the answers it is told to, over real HTTP on loopback."""

import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.rig import vectors

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.http import RetryPolicy
from raised.btcpay.settings import StoreSettings
from raised_simnet.http.http_server import Request, Response, WebServer

VECTORS: Final = vectors.BTCPAY
STORE: Final = "EqevX4KsotQEFnRhVshPqdP5mtzjXiiV4fEFogKmuEbB"
KEY: Final = "5ec4e7" * 6 + "beef"
KEPT: Final = frozenset({"orderId", "campaign"})
HURRY: Final = RetryPolicy(
    base_seconds=0.001,
    connect_seconds=2.0,
    read_seconds=2.0,
    whole_seconds=4.0,
    page_seconds=0.0,
)
BASE: Final = "/pay/here/api/v1"

Answer = Response | Callable[[Request], Response | Awaitable[Response]]


def vector(name: str) -> Any:
    """The JSON of a vector."""
    return json.loads((VECTORS / f"{name}.json").read_text())


def shown(value: object, status: int = 200) -> Response:
    """JSON as the server sends it."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return Response(status, body, "application/json; charset=utf-8")


class CannedGreenfield:
    """Answers by path below the base, in order, the last one again and again; else no route."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[str, deque[Answer]] = {}
        self._web = WebServer(self._answer)
        self._stores: list[Greenfield] = []

    def tell(self, path: str, *answers: Answer) -> None:
        """What is answered at this path; one that begins with `/` is below the store's."""
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
        """Listen no more."""
        self._web.refuse(refuse=True)

    def paths(self) -> list[str]:
        """What was asked for, below the base."""
        return [request.path.removeprefix(f"{BASE}/stores/{STORE}") for request in self.requests]

    def store(self, **changes: Any) -> Greenfield:
        """A store before this server."""
        told: dict[str, Any] = {
            "label": "shop",
            "url": self.url,
            "store_id": STORE,
            "api_key": KEY,
            "kept_metadata": KEPT,
        }
        gate = changes.pop("gate", None)
        retry_policy = changes.pop("retry_policy", HURRY)
        greenfield = Greenfield(
            StoreSettings(**{**told, **changes}), gate=gate, retry_policy=retry_policy
        )
        self._stores.append(greenfield)
        return greenfield

    async def close(self) -> None:
        for store in self._stores:
            await store.close()

    def _answer(self, request: Request) -> Response | Awaitable[Response]:
        self.requests.append(request)
        answers = self._answers.get(request.path) or self._answers.get("*")
        if not answers:
            return Response(404, content_type="")
        answer = answers[0] if len(answers) == 1 else answers.popleft()
        return answer if isinstance(answer, Response) else answer(request)
