"""The shapes of answers about invoices and deliveries."""

from typing import TypedDict

from raised_api.http.envelope import AsOf
from raised_api.openapi.schemas import Sats, Time


class Payment(TypedDict):
    method: str
    currency: str
    id: str
    value: str
    value_msats: str | None
    status: str
    received_at: Time | None
    rate: str | None
    counted: bool
    movement_id: int | None


class Refund(TypedDict):
    id: str
    pull_payment_id: str | None
    amount: str | None
    currency: str
    value_msats: str | None
    at: Time | None
    movement_id: int | None


class Invoice(TypedDict):
    store: str
    id: str
    status: str
    additional_status: str
    type: str
    currency: str
    amount: str
    paid_amount: str | None
    created_at: Time | None
    expires_at: Time | None
    settled_at: Time | None
    settled_at_approximate: bool
    archived: bool
    missing_upstream: bool
    campaign: str
    order_id: str | None
    metadata: dict[str, str]
    received_sats: Sats
    pending_sats: Sats
    payments: list[Payment]
    refunds: list[Refund]


class InvoiceDetail(Invoice):
    as_of: AsOf


class InvoicePage(TypedDict):
    items: list[Invoice]
    next_cursor: str | None
    as_of: AsOf


class RefreshAsked(TypedDict):
    requested_at: Time
