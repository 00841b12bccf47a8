"""What is stored of an invoice and its payments, and how an answer of the API changes it.

An answer is complete: it replaces what is stored, whatever asked for it. Only a payment that it
does not list stays, as one that counts no more. Source: docs/btcpay.md 12.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from raised.domain.btcpay.invoice import Invoice, InvoiceStatus, Payment, PaymentStatus
from raised.domain.campaign import Membership
from raised.domain.change import Change, ChangeType
from raised.domain.ledger import InvoiceKey

PaymentKey = tuple[str, str]  # method, payment id

# Our clock and the server's differ, and an event may be sent before the API shows what it means.
CLOCK_TOLERANCE_SECONDS: Final = 120

INVOICE_CHANGE_TYPES: Final[Mapping[InvoiceStatus, ChangeType]] = {
    "New": "invoice.new",
    "Processing": "invoice.processing",
    "Settled": "invoice.settled",
    "Expired": "invoice.expired",
    "Invalid": "invoice.invalid",
    "Other": "invoice.other",
}
_PAYMENT_CHANGE_TYPES: Final[Mapping[PaymentStatus, ChangeType]] = {
    "Settled": "payment.settled",
    "Processing": "payment.pending",
    "Invalid": "payment.invalid",
}
# Falling back to New has none. Source: docs/btcpay.md 8.
_STATUS_EVENTS: Final[Mapping[InvoiceStatus, str]] = {
    "Processing": "InvoiceProcessing",
    "Settled": "InvoiceSettled",
    "Expired": "InvoiceExpired",
    "Invalid": "InvoiceInvalid",
}


@dataclass(frozen=True, slots=True)
class InvoiceSnapshot:
    """An invoice as it is stored.

    `settled_at` (Unix seconds) is the time of the event that announced it, else that of the first
    answer that showed it, then `settled_at_approximate`. `apps`: ids of the crowdfund apps that are
    known to have made it.
    """

    store: str
    id: str
    status: InvoiceStatus
    additional_status: str
    type: str
    currency: str
    amount: str
    paid_amount: str | None
    created_at: int
    expires_at: int
    monitored_until: int
    settled_at: int | None
    settled_at_approximate: bool
    archived: bool
    missing_upstream: bool
    metadata: Mapping[str, str]
    apps: frozenset[str]
    membership: Membership

    @property
    def key(self) -> InvoiceKey:
        """Store and id."""
        return self.store, self.id

    @property
    def subject(self) -> str:
        """How a change names it."""
        return subject_of(self.key)


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """A payment as it is stored.

    `received_at`: the server's clock, but never later than `first_seen_at`, ours: a server outside
    UTC dates payments hours ahead (docs/btcpay.md 4.2). `settled_at`: the time of the event that
    announced it, else our clock when an answer showed it.
    """

    method: str
    currency: str
    id: str
    value: str
    value_msats: int | None
    status: PaymentStatus
    received_at: int
    rate: str | None
    settled_at: int | None
    first_seen_at: int

    @property
    def key(self) -> PaymentKey:
        """What makes it the same payment of its invoice."""
        return self.method, self.id


@dataclass(frozen=True, slots=True)
class EventTimes:
    """The times of the newest events that announced that an invoice or a payment of it settled.

    `invoice_event_at`: when, by our clock, the event about the invoice was received.
    """

    invoice_settled_at: int | None = None
    invoice_event_at: int | None = None
    payment_settled_at: int | None = None


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    """What is stored of one invoice before an answer is applied.

    `asked_at`: when the answer that it rests on was asked for; `seen_at`: when the server last
    showed the invoice. Both by our clock.
    """

    snapshot: InvoiceSnapshot
    asked_at: int
    seen_at: int
    payments: Mapping[PaymentKey, PaymentSnapshot]


def subject_of(key: InvoiceKey) -> str:
    """How a change names an invoice."""
    store, invoice_id = key
    return f"{store}/{invoice_id}"


def key_of(subject: str) -> InvoiceKey:
    """The invoice that a change names; labels have no slash."""
    store, _, invoice_id = subject.partition("/")
    return store, invoice_id


def invoice_snapshot(
    seen: Invoice,
    store: str,
    apps: frozenset[str],
    membership: Membership,
    old: InvoiceSnapshot | None,
) -> InvoiceSnapshot:
    """The invoice as an answer shows it; `with_settled_at` adds when it settled."""
    settled = seen.status == "Settled" and old is not None
    return InvoiceSnapshot(
        store=store,
        id=seen.id,
        status=seen.status,
        additional_status=seen.additional_status,
        type=seen.type,
        currency=seen.currency,
        amount=seen.amount,
        paid_amount=seen.paid_amount,
        created_at=seen.created_at,
        expires_at=seen.expires_at,
        monitored_until=seen.monitored_until,
        settled_at=old.settled_at if settled and old is not None else None,
        settled_at_approximate=settled and old is not None and old.settled_at_approximate,
        archived=seen.archived,
        missing_upstream=False,
        metadata=dict(seen.metadata),
        apps=apps,
        membership=membership,
    )


def with_settled_at(
    snapshot: InvoiceSnapshot, events: EventTimes, at: int, open_at: int | None = None
) -> InvoiceSnapshot:
    """The invoice with the best known time of its settlement. `at`: now, by our clock.

    `open_at`: when the server last showed it as not settled. An invoice that is marked by hand may
    settle twice, and an event of the first settlement says nothing of the second.
    """
    known = snapshot.settled_at is not None
    if snapshot.status != "Settled" or (known and not snapshot.settled_at_approximate):
        return snapshot
    if _is_of_this_settlement(snapshot, events, open_at):
        return replace(snapshot, settled_at=events.invoice_settled_at, settled_at_approximate=False)
    if not known:
        return replace(snapshot, settled_at=at, settled_at_approximate=True)
    return snapshot


def _is_of_this_settlement(
    snapshot: InvoiceSnapshot, events: EventTimes, open_at: int | None
) -> bool:
    if events.invoice_settled_at is None or events.invoice_event_at is None:
        return False
    if snapshot.settled_at is not None:  # an answer showed it before an event announced it
        return events.invoice_event_at >= snapshot.settled_at - CLOCK_TOLERANCE_SECONDS
    return open_at is None or events.invoice_settled_at >= open_at - CLOCK_TOLERANCE_SECONDS


def payment_snapshots(
    seen: Invoice, old: Mapping[PaymentKey, PaymentSnapshot], events: EventTimes, at: int
) -> dict[PaymentKey, PaymentSnapshot]:
    """The payments of an invoice after an answer, which lists all that count or says nothing."""
    if seen.payments is None:
        return dict(old)
    listed = {
        (payment.method, payment.id): _payment_snapshot(payment, old, events, at)
        for payment in seen.payments
    }
    if seen.unreadable_payments:  # the payment that seems to be missing may be an unreadable one
        return {**old, **listed}
    uncounted = {
        key: replace(payment, status="Invalid", settled_at=None)
        for key, payment in old.items()
        if key not in listed
    }
    return listed | uncounted


def _payment_snapshot(
    seen: Payment, old: Mapping[PaymentKey, PaymentSnapshot], events: EventTimes, at: int
) -> PaymentSnapshot:
    before = old.get((seen.method, seen.id))
    first_seen_at = at if before is None else before.first_seen_at
    received_at = min(seen.received_at, first_seen_at)
    settled_at = None
    if seen.status == "Settled":
        event_at = events.payment_settled_at
        settled_at = before.settled_at if before is not None else None
        if settled_at is None:
            settled_at = at if event_at is None or event_at < received_at else event_at
    return PaymentSnapshot(
        method=seen.method,
        currency=seen.currency,
        id=seen.id,
        value=seen.value,
        value_msats=seen.value_msats,
        status=seen.status,
        received_at=received_at,
        rate=seen.rate,
        settled_at=settled_at,
        first_seen_at=first_seen_at,
    )


def invoice_changes(
    old: InvoiceSnapshot | None,
    new: InvoiceSnapshot,
    before: Mapping[PaymentKey, PaymentSnapshot],
    after: Mapping[PaymentKey, PaymentSnapshot],
) -> Iterator[Change]:
    """The changes between two snapshots: of the invoice, then of each payment.

    The invoice's own change is left out when only payments changed, and their changes say so.
    """
    changed = [payment for key, payment in after.items() if before.get(key) != payment]
    announced = [
        payment for payment in changed if _has_new_status(before.get(payment.key), payment)
    ]
    states = (None, None) if old is None else (old.status, old.additional_status)
    if states != (new.status, new.additional_status) or (not announced and (changed or old != new)):
        yield Change(INVOICE_CHANGE_TYPES[new.status], "btcpay", new.subject, reference=new.subject)
    for payment in announced:
        change_type = _PAYMENT_CHANGE_TYPES[payment.status]
        yield Change(change_type, "btcpay", new.subject, reference=payment.id)


def _has_new_status(before: PaymentSnapshot | None, after: PaymentSnapshot) -> bool:
    return after.status in _PAYMENT_CHANGE_TYPES and (
        before is None or before.status != after.status
    )


def expected_events(
    old: InvoiceSnapshot | None,
    new: InvoiceSnapshot,
    before: Mapping[PaymentKey, PaymentSnapshot],
    after: Mapping[PaymentKey, PaymentSnapshot],
) -> set[str]:
    """The types of the events that should announce what is new. Source: docs/btcpay.md 8, 12.5."""
    types: set[str] = set()
    if old is None:
        types.add("InvoiceCreated")
    if (old is None or old.status != new.status) and new.status in _STATUS_EVENTS:
        types.add(_STATUS_EVENTS[new.status])
    for key, payment in after.items():
        known = before.get(key)
        if known is None and payment.status != "Invalid":
            types.add("InvoiceReceivedPayment")
        if payment.status == "Settled" and (known is None or known.status != "Settled"):
            types.add("InvoicePaymentSettled")
    return types


def bitcoin_references(payments: Iterable[PaymentSnapshot]) -> set[str]:
    """The ids of the payments that are in bitcoin: `txid:vout` or payment hash."""
    return {payment.id for payment in payments if payment.value_msats is not None}
