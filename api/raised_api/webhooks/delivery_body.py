"""A delivery's signature and body. No body is parsed before its signature is checked.

A delivery is a reason to fetch what it names, no more: where an id can be read, nothing else in the
body is a reason to refuse it, since the server does not send again what was answered 400.
Source: docs/btcpay.md 7.2, 7.3 and 8.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from raised.db.requests.inbox import Delivery
from raised.errors import InvalidInput
from raised_api.webhooks.top_level_members import Scalar, top_level_members

_LAST_INSTANT: Final = 253_402_300_799  # 9999-12-31T23:59:59Z: RFC 3339 ends there
_TEST_MARK: Final = "__test__"
_UNKNOWN: Final = "unknown"  # in the place of a webhook's id or an event's type

# Ids and types of all versions are shorter; what is longer must not get into the record.
_NAME: Final = re.compile(r"^[!-~]{1,128}\Z")
_Name = Annotated[str, msgspec.Meta(pattern=_NAME.pattern)]


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    """The fields that are decoded. All others, which name buyers, are skipped."""

    delivery_id: _Name
    webhook_id: _Name
    type: _Name
    store_id: _Name | None
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=_LAST_INSTANT)]
    original_delivery_id: _Name | None = None
    orignal_delivery_id: _Name | None = None  # sic: servers 1.0 wrote it so
    is_redelivery: bool = False
    invoice_id: _Name | None = None
    pull_payment_id: _Name | None = None


_DECODER: Final = msgspec.json.Decoder(_Body)


def signing_keys(secrets: Iterable[bytes]) -> tuple[hmac.HMAC, ...]:
    """A prepared HMAC for each secret. An empty secret signs nothing."""
    return tuple(hmac.new(secret, digestmod="sha256") for secret in secrets if secret)


def is_signed(body: bytes, signature: bytes, keys: Iterable[hmac.HMAC]) -> bool:
    """Whether the header's value is the body's signature with one of the keys."""
    return any(hmac.compare_digest(_signature(body, key), signature) for key in keys)


def _signature(body: bytes, key: hmac.HMAC) -> bytes:
    digest = key.copy()
    digest.update(body)
    return b"sha256=" + digest.hexdigest().encode()


def parse_delivery(store: str, body: bytes, received_at: int) -> tuple[Delivery, str | None]:
    """The delivery to this store's address, and the id of the store that it names itself.

    Raises:
        InvalidInput: the body is no JSON, or names nothing to fetch.
    """
    try:
        fields = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = _readable_fields(body, received_at)
    original = fields.original_delivery_id or fields.orignal_delivery_id or fields.delivery_id
    delivery = Delivery(
        store=store,
        webhook_id=fields.webhook_id,
        delivery_id=fields.delivery_id,
        original_delivery_id=original,
        type=fields.type,
        invoice_id=fields.invoice_id,
        pull_payment_id=fields.pull_payment_id,
        redelivery=fields.is_redelivery,
        sent_at=fields.timestamp,
        received_at=received_at,
        is_test=original.startswith(_TEST_MARK),
    )
    return delivery, fields.store_id


def _readable_fields(body: bytes, received_at: int) -> _Body:
    """What can be read of a body that is odd somewhere.

    Raises:
        InvalidInput: neither the id of an invoice nor that of a pull payment can be read.
    """
    members = top_level_members(body)
    invoice_id, pull_payment_id = _name(members, "invoiceId"), _name(members, "pullPaymentId")
    if invoice_id is None and pull_payment_id is None:
        raise InvalidInput("the body is no delivery")
    # The same body sent again is the same delivery.
    body_id = f"sha256-{sha256(body).hexdigest()}"
    return _Body(
        delivery_id=_name(members, "deliveryId") or body_id,
        webhook_id=_name(members, "webhookId") or _UNKNOWN,
        type=_name(members, "type") or _UNKNOWN,
        store_id=_name(members, "storeId"),
        timestamp=_instant(members.get("timestamp"), received_at),
        original_delivery_id=_name(members, "originalDeliveryId"),
        orignal_delivery_id=_name(members, "orignalDeliveryId"),
        is_redelivery=members.get("isRedelivery") is True,
        invoice_id=invoice_id,
        pull_payment_id=pull_payment_id,
    )


def _name(members: dict[str, Scalar], key: str) -> str | None:
    value = members.get(key)
    return value if isinstance(value, str) and _NAME.match(value) else None


def _instant(value: Scalar, received_at: int) -> int:
    """The time that a delivery names, else when it came."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST_INSTANT:
        return value
    return received_at
