"""Parses a server's answers about itself, the key, webhooks, store terms and rates."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from raised.btcpay.client.json_fields import (
    boolean,
    identifier,
    optional_amount_text,
    optional_timestamp,
    parse_rows,
    short_text,
    timestamp,
)
from raised.domain.json_object import JsonObject
from raised.errors import InvalidInput

DeliveryStatus = Literal["HttpSuccess", "HttpError", "Failed", "Other"]

_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,60}")
_PERMISSION: Final = re.compile(r"[0-9A-Za-z._:-]{1,200}")
_DELIVERY_STATUS: Final[dict[str, DeliveryStatus]] = {
    "HttpSuccess": "HttpSuccess",
    "HttpError": "HttpError",
    "Failed": "Failed",
}
_MOST_SECONDS: Final = 10 * 366 * 86_400
_LONGEST_URL: Final = 2_000
_MOST_NAMES: Final = 1_000


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Its version, and whether its node has all blocks."""

    version: str
    synchronized: bool


@dataclass(frozen=True, slots=True)
class StoreTerms:
    """How long an invoice may be paid, and how long it is monitored after that."""

    expiration_seconds: int
    monitoring_seconds: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as the server lists it, without its secret."""

    id: str
    url: str
    enabled: bool
    redelivers: bool
    everything: bool
    events: frozenset[str]


@dataclass(frozen=True, slots=True)
class SentDelivery:
    """One attempt of a delivery, as the server logs it. `queued_at`: when the event happened.

    `sent_at` None before 2.3.4; `http_status` None when there was no answer.
    """

    id: str
    queued_at: int
    sent_at: int | None
    http_status: int | None
    status: DeliveryStatus


def parse_synchronized(row: JsonObject) -> bool:
    """Whether the server's node has all blocks. Source: GET /api/v1/health."""
    return boolean(row, "synchronized", default=False)


def parse_server_info(row: JsonObject) -> ServerInfo:
    """Version and synchronisation. Raises InvalidInput."""
    version = row.text("version")
    if not _VERSION.fullmatch(version):
        raise InvalidInput("not a version")
    return ServerInfo(version, boolean(row, "fullySynched", default=False))


def parse_permissions(row: JsonObject) -> frozenset[str]:
    """What a key may do. The answer also contains the key itself, which is not kept."""
    listed = row.values("permissions", _MOST_NAMES)
    return frozenset(
        name for name in listed if isinstance(name, str) and _PERMISSION.fullmatch(name)
    )


def parse_store_terms(row: JsonObject) -> StoreTerms:
    """How long a store's invoices live. Raises InvalidInput."""
    return StoreTerms(
        row.integer("invoiceExpiration", 0, _MOST_SECONDS),
        row.integer("monitoringExpiration", 0, _MOST_SECONDS),
    )


def parse_webhook(row: JsonObject) -> Webhook:
    """A webhook. Raises InvalidInput."""
    events = row.inner("authorizedEvents")
    names = [] if events is None else events.values("specificEvents", _MOST_NAMES)
    return Webhook(
        id=identifier(row, "id"),
        url=short_text(row, "url", _LONGEST_URL),
        enabled=boolean(row, "enabled", default=True),
        redelivers=boolean(row, "automaticRedelivery", default=True),
        everything=events is None or boolean(events, "everything", default=False),
        events=frozenset(name for name in names if isinstance(name, str)),
    )


def webhook_body(url: str, events: Collection[str], secret: str | None) -> dict[str, object]:
    """The body that creates or replaces a webhook, complete: the server sets what is left out.

    Without a secret the webhook keeps the one it has (docs/btcpay.md 6).
    """
    body: dict[str, object] = {
        "url": url,
        "enabled": True,
        "automaticRedelivery": True,
        "authorizedEvents": {"everything": False, "specificEvents": sorted(events)},
    }
    return body if secret is None else {**body, "secret": secret}


def parse_delivery(row: JsonObject) -> SentDelivery:
    """One delivery of a webhook. Raises InvalidInput."""
    return SentDelivery(
        id=identifier(row, "id"),
        queued_at=timestamp(row, "timestamp"),
        sent_at=optional_timestamp(row, "deliveryTime"),
        http_status=row.optional_integer("httpCode", 0, 999),
        status=_DELIVERY_STATUS.get(short_text(row, "status"), "Other"),
    )


def parse_rates(currencies: Collection[str], value: object) -> dict[str, str | None]:
    """The price of one bitcoin in each of these currencies, decimal text; None where unknown."""
    rates = dict(parse_rows(value, _pair).rows)
    return {currency: rates.get(f"BTC_{currency}") for currency in currencies}


def _pair(row: JsonObject) -> tuple[str, str | None]:
    return short_text(row, "currencyPair").upper(), optional_amount_text(row, "rate")
