"""A delivery's signature and body. Nothing reads a body before its signature holds.

Source: btcpay.md 7.2 and 8.
"""

import hmac
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from raised.db.requests.inbox import Delivery
from raised.errors import InvalidInput

_LAST_INSTANT: Final = 253_402_300_799  # RFC 3339 ends there
_TEST_MARK: Final = "__test__"

# Ids and types of all versions are shorter; what is longer must not get into the record.
_Name = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$")]


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of a body. The rest, which names buyers, is not even decoded."""

    delivery_id: _Name
    webhook_id: _Name
    type: _Name
    store_id: _Name
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=_LAST_INSTANT)]
    original_delivery_id: _Name | None = None
    orignal_delivery_id: _Name | None = None  # so some servers 1.0 wrote it
    is_redelivery: bool = False
    invoice_id: _Name | None = None
    pull_payment_id: _Name | None = None


_BODIES: Final = msgspec.json.Decoder(_Body)


def keys_of(secrets: Iterable[bytes]) -> tuple[hmac.HMAC, ...]:
    """What signatures with these secrets begin with. An empty secret signs nothing."""
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
        found = _BODIES.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("the body is no delivery") from error
    original = found.original_delivery_id or found.orignal_delivery_id or found.delivery_id
    delivery = Delivery(
        store=store,
        webhook_id=found.webhook_id,
        delivery_id=found.delivery_id,
        original_delivery_id=original,
        type=found.type,
        invoice_id=found.invoice_id,
        pull_payment_id=found.pull_payment_id,
        redelivery=found.is_redelivery,
        sent_at=found.timestamp,
        received_at=received_at,
        is_test=original.startswith(_TEST_MARK),
    )
    return delivery, found.store_id
