"""The letter-slot for BTCPay Server: check, store, answer. Source: btcpay.md 7.

An ASGI application beside Litestar, for bodies must reach the signature as they were sent, and are
not read at all when the header alone says no. Answers tell strangers nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from litestar.types import HTTPScope, Receive, Send

from raised.errors import InvalidInput, RecordUnavailable
from raised_api.http.client_ip import client_address
from raised_api.http.problems import MEDIA_TYPE, Problem
from raised_api.http.rate_limit import RateLimiter
from raised_api.webhooks.delivery_body import is_signed, keys_of, parse_delivery
from raised_api.webhooks.inbox import Inbox

Secrets = Mapping[str, tuple[bytes, ...]]

PATH: Final = "/webhooks/btcpay/"
SHORT_PATH: Final = "/webhook"  # where there is one store
ROUTE: Final = PATH + "{label}"

MOST_BYTES: Final = 1024 * 1024
REFUSALS: Final = 60  # a minute and address; from then on they are answered 429
_READ_ON_BYTES: Final = 8 * MOST_BYTES
_BODY_SECONDS: Final = 30.0

_CLOSE: Final = {"connection": "close"}
_ALWAYS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_EMPTY: Final = [(b"content-length", b"0"), *_ALWAYS]


@dataclass(slots=True)
class _Refused(Exception):
    """A request that is not stored. `reason` as it is counted; None: it is not."""

    status: int
    detail: str
    reason: str | None
    headers: Mapping[str, str]


def _refused(status: int, detail: str, reason: str | None, **headers: str) -> _Refused:
    return _Refused(status, detail, reason, headers)


class Webhooks:
    """Takes deliveries: an ASGI application that answers all of the addresses of `is_here`."""

    def __init__(
        self,
        secrets: Secrets,
        inbox: Inbox,
        clock: Callable[[], int],
        trusted: tuple[str, ...],
        refusals: int = REFUSALS,
    ) -> None:
        self._keys = {label: keys_of(own) for label, own in secrets.items()}
        self._alone = next(iter(secrets)) if len(secrets) == 1 else None
        self._inbox = inbox
        self._clock = clock
        self._trusted = trusted
        self._refusals = RateLimiter(refusals)

    def is_here(self, path: str) -> bool:
        """Whether this address is one of ours."""
        return path == SHORT_PATH or path.startswith(PATH)

    async def answer(self, scope: HTTPScope, receive: Receive, send: Send) -> int:
        """Answer one request; the status."""
        label = self._label(scope["path"])
        try:
            if label is None:
                raise _refused(404, "There is nothing at this address.", None)
            if scope["method"] != "POST":
                raise _refused(405, "This address only answers POST.", None, allow="POST")
            await self._take(label, scope, receive)
        except _Refused as refused:
            problem = self._count(label, refused, scope)
            await _send_problem(send, problem)
            return problem.status
        await send({"type": "http.response.start", "status": 200, "headers": _EMPTY})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return 200

    def _label(self, path: str) -> str | None:
        if path == SHORT_PATH:
            return self._alone
        label = path.removeprefix(PATH)
        return label if label in self._keys else None

    async def _take(self, label: str, scope: HTTPScope, receive: Receive) -> None:
        signature = _signature(scope)
        body = await _read_body(receive)
        if not is_signed(body, signature, self._keys[label]):
            raise _unsigned("bad_signature")
        try:
            delivery, store_id = parse_delivery(label, body, self._clock())
        except InvalidInput as error:
            raise _refused(400, "The body is no delivery.", "not_json") from error
        try:
            ours = await self._inbox.store_id(label)
            if ours is not None and store_id != ours:
                raise _unsigned("other_store")  # the secret was not given to that store
            await self._inbox.keep(delivery)
        except RecordUnavailable as error:
            again = {"retry-after": "5"}
            raise _Refused(503, "It cannot be stored now.", "not_stored", again) from error

    def _count(self, label: str | None, refused: _Refused, scope: HTTPScope) -> Problem:
        """The answer to a refusal; 429 where an address earns too many of them."""
        if label is not None and refused.reason is not None:
            self._inbox.refuse(label, refused.reason)
            if refused.status != 503:
                address = client_address(scope, self._trusted)
                taken = self._refusals.take(address, self._clock())
                if not taken.is_allowed:
                    again = {"retry-after": str(taken.reset_seconds)}
                    return Problem(429, "Too many refused requests.", headers=again)
        return Problem(refused.status, refused.detail, headers=refused.headers)


def _unsigned(reason: str) -> _Refused:
    scheme = {"www-authenticate": "BTCPay-Sig"}
    return _Refused(401, "The signature does not hold.", reason, scheme)


def _signature(scope: HTTPScope) -> bytes:
    """The one signature of the request, looked at before its body."""
    length, signatures = 0, list[bytes]()
    for name, value in scope["headers"]:
        if name == b"btcpay-sig":
            signatures.append(value)
        elif name == b"content-length":
            length = int(value)  # the server has refused what is no number
    if length > MOST_BYTES:
        raise _too_large(length)
    if len(signatures) != 1 or not signatures[0]:
        raise _unsigned("no_signature")
    return signatures[0]


async def _read_body(receive: Receive) -> bytes:
    """The body; who has said that one comes must not take for ever."""
    parts, size, is_whole = list[bytes](), 0, False
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while not is_whole:
                part, is_whole = await _read_part(receive)
                parts.append(part)
                size += len(part)
                if size > MOST_BYTES:
                    raise _too_large(size)
    except TimeoutError as error:
        raise _Refused(408, "The body did not come.", "broken_off", _CLOSE) from error
    return b"".join(parts)


async def _read_part(receive: Receive) -> tuple[bytes, bool]:
    """A part of the body, and whether it is the last."""
    message = await receive()
    if message["type"] != "http.request":
        raise _refused(408, "The sender has left.", "broken_off")
    return message["body"], not message["more_body"]


def _too_large(size: int) -> _Refused:
    """Up to a point the server reads on without keeping it, so that the sender hears the answer."""
    headers = _CLOSE if size > _READ_ON_BYTES else {}
    return _Refused(413, f"A delivery has at most {MOST_BYTES} bytes.", "too_large", headers)


async def _send_problem(send: Send, problem: Problem) -> None:
    body = problem.body()
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        **problem.headers,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()] + _ALWAYS
    await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})
