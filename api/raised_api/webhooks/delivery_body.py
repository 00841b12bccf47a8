"""A delivery's signature and body. No body is parsed before its signature is checked.

Source: docs/btcpay.md 7.2 and 8.
"""

import hmac
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from raised.db.requests.inbox import Delivery
from raised.errors import InvalidInput

_LAST_INSTANT: Final = 253_402_300_799  # 9999-12-31T23:59:59Z: RFC 3339 ends there
_TEST_MARK: Final = "__test__"

# Ids and types of all versions are shorter; what is longer must not get into the record.
_Name = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$")]


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    """The fields that are decoded. All others, which name buyers, are skipped."""

    delivery_id: _Name
    webhook_id: _Name
    type: _Name
    store_id: _Name
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


def parse_delivery(store: str, body: bytes, received_at: int) -> tuple[Delivery, str]:
    """The delivery to this store's address, and the id of the store that it names itself.

    Raises:
        InvalidInput: the body is no JSON, or no delivery's.
    """
    try:
        fields = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("the body is no delivery") from error
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
