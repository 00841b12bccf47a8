"""The shapes of answers about invoices and deliveries."""

from typing import TypedDict

from raised_api.openapi.schemas import AsOf, Sats, Time


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


class Delivery(TypedDict):
    store: str
    delivery_id: str
    original_delivery_id: str
    type: str
    invoice_id: str | None
    sent_at: Time | None
    received_at: Time | None
    processed_at: Time | None
    redelivery: bool
    result: str | None


class DeliveryPage(TypedDict):
    items: list[Delivery]
    next_cursor: str | None


class RefreshAsked(TypedDict):
    requested_at: Time
