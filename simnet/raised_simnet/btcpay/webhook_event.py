"""Webhook events and their bodies, byte for byte. Source: docs/btcpay.md 7.1, 7.4, 8."""

import json
from dataclasses import dataclass, field

from raised_simnet.btcpay.api_version import ApiVersion
from raised_simnet.btcpay.invoice import Invoice, Payment
from raised_simnet.btcpay.payment_json import payment_json
from raised_simnet.btcpay.refund import Payout

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell. `own`: the fields of its type; `subject`: whom it is about."""

    type: str
    store_id: str
    subject: Json
    own: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryEnvelope:
    """One attempt to tell it. `original_id` equals `id` on the first."""

    id: str
    webhook_id: str
    original_id: str
    timestamp: int

    @property
    def is_redelivery(self) -> bool:
        """Whether it was attempted before."""
        return self.id != self.original_id


def invoice_event(kind: str, invoice: Invoice, **own: object) -> Event:
    """An event about an invoice."""
    subject: Json = {"invoiceId": invoice.id, "metadata": dict(invoice.metadata)}
    return Event(kind, invoice.store_id, subject, own)


def payment_event(
    kind: str, invoice: Invoice, payment: Payment, dialect: ApiVersion, *, late: bool
) -> Event:
    """An event about a payment. `late`: the invoice was Expired or Invalid."""
    own: Json = {
        "afterExpiration": late,
        dialect.method_key: dialect.method_name(payment.method),
        "payment": payment_json(payment),
    }
    return invoice_event(kind, invoice, **own)


def payout_event(kind: str, payout: Payout) -> Event:
    """An event about a payout."""
    ids: Json = {"payoutId": payout.id, "pullPaymentId": payout.pull_id}
    return Event(kind, payout.store_id, {**ids, "payoutState": str(payout.state)})


def body_of(event: Event, envelope: DeliveryEnvelope) -> bytes:
    """What is posted: own fields first, on a redelivery the envelope first."""
    head: Json = {
        "deliveryId": envelope.id,
        "webhookId": envelope.webhook_id,
        "originalDeliveryId": envelope.original_id,
        "isRedelivery": envelope.is_redelivery,
        "type": event.type,
        "timestamp": envelope.timestamp,
    }
    front = {**head, **event.own} if envelope.is_redelivery else {**event.own, **head}
    return pretty({**front, "storeId": event.store_id, **event.subject})


def pretty(value: object) -> bytes:
    """JSON as the server writes it: two spaces, LF, UTF-8 unescaped, no line end at its end."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
