"""Receives the webhooks of BTCPay Server: check, store, answer. Source: docs/btcpay.md 7.

Middleware and not a Litestar handler, since the signature is over the body as it was sent, a body
is not even read where the headers are refused, and senders are neither callers with a quota of
requests nor in need of a key. Answers tell strangers nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from raised.errors import InvalidInput, RecordUnavailable
from raised_api.http.client_ip import client_address, limited_address
from raised_api.http.problems import Problem
from raised_api.http.rate_limit import RateLimiter
from raised_api.http.responses import send_problem, send_response
from raised_api.http.webhook_secrets import NO_SECRET, WebhookSecrets
from raised_api.webhooks.delivery_body import is_signed, parse_delivery, signing_keys
from raised_api.webhooks.delivery_store import DeliveryStore

_PREFIX: Final = "/webhooks/btcpay/"
_SHORT_PATH: Final = "/webhook"  # where there is one store
ROUTE: Final = _PREFIX + "{label}"

MAX_BYTES: Final = 1024 * 1024  # Greenfield's largest events have some kilobytes
# From here on the connection is closed instead of read to its end without keeping anything: a
# sender that has only a little too much is to get the answer, not a broken connection.
_MAX_DISCARDED_BYTES: Final = 8 * MAX_BYTES
# A delivery has all of its body ready; a connection must not be held by announcing one.
_BODY_SECONDS: Final = 30.0
# A minute and address; from then on they are answered 429. BTCPay Server itself earns none.
MAX_REFUSALS: Final = 60
_RETRY_SECONDS: Final = 5

_SIGNATURE: Final = b"btcpay-sig"
_CLOSE: Final = {"connection": "close"}
_ALWAYS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_EMPTY: Final = [(b"content-length", b"0"), *_ALWAYS]

_log = structlog.get_logger()


@dataclass(slots=True)
class _Refused(Exception):
    """A request that is not stored. `reason` as it is counted; None: it is not."""

    status: int
    detail: str
    reason: str | None
    headers: Mapping[str, str]


def _refused(status: int, detail: str, reason: str | None, **headers: str) -> _Refused:
    return _Refused(status, detail, reason, headers)


class WebhookMiddleware:
    """Answers everything that is sent to the addresses of webhooks."""

    def __init__(
        self,
        app: ASGIApp,
        secrets: WebhookSecrets,
        deliveries: DeliveryStore,
        clock: Callable[[], int],
        trusted_proxies: tuple[str, ...],
    ) -> None:
        self._app = app
        self._missing = secrets.missing
        self._told: set[str] = set()  # stores without secret that the log has named
        self._keys = {label: signing_keys(own) for label, own in secrets.by_label.items()}
        self._deliveries = deliveries
        self._clock = clock
        self._trusted_proxies = trusted_proxies
        self._refusals = RateLimiter(MAX_REFUSALS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a delivery; let the application answer everything else."""
        if scope["type"] == ScopeType.HTTP and _is_webhook(scope["path"]):
            scope["path_template"] = ROUTE
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        label: str | None = None
        try:
            label = await self._require_label(scope["path"])
            if scope["method"] != "POST":
                raise _refused(405, "This address only answers POST.", None, allow="POST")
            await self._receive(label, scope, receive)
        except _Refused as refused:
            await send_problem(send, self._count(label, refused, scope), _ALWAYS)
        else:
            await send_response(send, 200, _EMPTY, b"")

    async def _require_label(self, path: str) -> str:
        """The label of the store whose address this is.

        Raises:
            _Refused: it is no store's.
        """
        label = _label_of(path, self._keys)
        if label not in self._keys:
            try:
                followed = await self._deliveries.store_ids()
            except RecordUnavailable as error:
                raise _not_stored(None) from error
            label = _label_of(path, followed.keys() | self._missing.keys())
        if label is None:
            raise _refused(404, "There is nothing at this address.", None)
        return label

    async def _receive(self, label: str, scope: HTTPScope, receive: Receive) -> None:
        if label not in self._keys:
            self._refuse_without_secret(label, scope)
        signature = _require_signature(scope)
        body = await _read_body(receive)
        if not is_signed(body, signature, self._keys[label]):
            raise _unsigned("bad_signature")
        try:
            delivery, store_id = parse_delivery(label, body, self._clock())
        except InvalidInput as error:
            raise _refused(400, "The body is no delivery.", "not_json") from error
        try:
            followed_id = (await self._deliveries.store_ids()).get(label)
            if None not in (followed_id, store_id) and store_id != followed_id:
                raise _unsigned("other_store")  # the secret was not given to that store
            await self._deliveries.add(delivery)
        except RecordUnavailable as error:
            raise _not_stored("not_stored") from error

    def _refuse_without_secret(self, label: str, scope: HTTPScope) -> NoReturn:
        """Have the server send again: it is a store of ours, and what was answered 404 is lost."""
        if not any(name == _SIGNATURE for name, _ in scope["headers"]):
            raise _not_stored(None)  # anybody can send that
        if label not in self._told:
            self._told.add(label)
            _log.error("webhook deliveries refused: no secret of this store", store=label)
        raise _not_stored(NO_SECRET)

    def _count(self, label: str | None, refused: _Refused, scope: HTTPScope) -> Problem:
        """The answer to a refusal; 429 where an address earns too many of them."""
        if label is not None and refused.reason is not None:
            self._deliveries.count_refused(label, refused.reason)
            if refused.status != 503:  # that is our failure, not the sender's
                address = client_address(scope, self._trusted_proxies)
                quota = self._refusals.count(limited_address(address), self._clock())
                if not quota.is_allowed:
                    headers = {"retry-after": str(quota.reset_seconds)}
                    return Problem(429, "Too many refused requests.", headers=headers)
        return Problem(refused.status, refused.detail, headers=refused.headers)


def _is_webhook(path: str) -> bool:
    return path == _SHORT_PATH or path.startswith(_PREFIX)


def _label_of(path: str, labels: Collection[str]) -> str | None:
    """The label of these that a path names; the short path names the only one."""
    if path == _SHORT_PATH:
        return next(iter(labels)) if len(labels) == 1 else None
    label = path.removeprefix(_PREFIX)
    return label if label in labels else None


def _not_stored(reason: str | None) -> _Refused:
    """An answer after which the server sends again."""
    headers = {"retry-after": str(_RETRY_SECONDS)}
    return _Refused(503, "It cannot be stored now.", reason, headers)


def _unsigned(reason: str) -> _Refused:
    scheme = {"www-authenticate": "BTCPay-Sig"}
    return _Refused(401, "The signature does not hold.", reason, scheme)


def _require_signature(scope: HTTPScope) -> bytes:
    """The only signature of the request, looked at before its body.

    Raises:
        _Refused: there is none, or another one, or the body will be too large.
    """
    length, signatures = 0, list[bytes]()
    for name, value in scope["headers"]:
        if name == _SIGNATURE:
            signatures.append(value)
        elif name == b"content-length":
            length = int(value)  # the server has refused what is no number
    if length > MAX_BYTES:
        raise _too_large(length)
    if len(signatures) != 1 or not signatures[0]:
        raise _unsigned("no_signature")
    return signatures[0]


async def _read_body(receive: Receive) -> bytes:
    parts, size, is_whole = list[bytes](), 0, False
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while not is_whole:
                part, is_whole = await _read_part(receive)
                parts.append(part)
                size += len(part)
                if size > MAX_BYTES:
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
    headers = _CLOSE if size > _MAX_DISCARDED_BYTES else {}
    return _Refused(413, f"A delivery has at most {MAX_BYTES} bytes.", "too_large", headers)
