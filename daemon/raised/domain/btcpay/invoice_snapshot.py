"""What is kept of an invoice and its payments, and what an answer about it makes of that.

An answer is the whole truth about an invoice: it replaces what is held, whoever asked for it.
Only a payment that it does not name is kept, as one that counts no more. Source: btcpay.md 12.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from raised.domain.btcpay.invoice import Invoice, InvoiceStatus, Payment, PaymentStatus
from raised.domain.campaign import Membership
from raised.domain.change import Change, ChangeType
from raised.domain.ledger import InvoiceKey

PaymentKey = tuple[str, str]  # method, payment id

# A clock that differs from the server's, and an event that overtakes what it tells.
SLACK_SECONDS: Final = 120

INVOICE_CHANGES: Final[Mapping[InvoiceStatus, ChangeType]] = {
    "New": "invoice.new",
    "Processing": "invoice.processing",
    "Settled": "invoice.settled",
    "Expired": "invoice.expired",
    "Invalid": "invoice.invalid",
    "Other": "invoice.other",
}
_PAYMENT_TOLD: Final[Mapping[PaymentStatus, ChangeType]] = {
    "Settled": "payment.settled",
    "Processing": "payment.pending",
    "Invalid": "payment.invalid",
}
# Falling back to New has none. Source: btcpay.md 8.
_STATUS_EVENTS: Final[Mapping[InvoiceStatus, str]] = {
    "Processing": "InvoiceProcessing",
    "Settled": "InvoiceSettled",
    "Expired": "InvoiceExpired",
    "Invalid": "InvoiceInvalid",
}


@dataclass(frozen=True, slots=True)
class InvoiceSnapshot:
    """An invoice as it is kept.

    `settled_at` is the time of the event that told it, else, `settled_at_approximate`, that of the
    first answer that showed it. `apps`: the crowdfund apps that are known to have made it.
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
    belongs: Membership

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
    """A payment as it is kept. `settled_at`: told by an event, else our clock when we saw it so."""

    method: str
    currency: str
    id: str
    value: str
    value_msats: int | None
    status: PaymentStatus
    received_at: int
    rate: str | None
    settled_at: int | None

    @property
    def key(self) -> PaymentKey:
        """What makes it the same payment of its invoice."""
        return self.method, self.id


@dataclass(frozen=True, slots=True)
class PublishedState:
    """When the newest event told that an invoice, or a payment of it, is settled.

    `invoice_told_at`: when by our clock the last event about the invoice came.
    """

    invoice_settled_at: int | None = None
    invoice_told_at: int | None = None
    payment_settled_at: int | None = None


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    """What is kept of one invoice before an answer is applied. `asked_at` is that of the answer
    that it stands on, `seen_at` when the server showed it last.
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
    """The invoice that a change names so; labels have no slash."""
    store, _, invoice_id = subject.partition("/")
    return store, invoice_id


def invoice_snapshot(
    seen: Invoice,
    store: str,
    apps: frozenset[str],
    belongs: Membership,
    old: InvoiceSnapshot | None,
) -> InvoiceSnapshot:
    """The invoice as an answer shows it; when it settled is another matter."""
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
        belongs=belongs,
    )


def with_settled_at(
    snapshot: InvoiceSnapshot, told: PublishedState, at: int, open_at: int | None = None
) -> InvoiceSnapshot:
    """The invoice with the best that is known of when it settled; `at` is our clock.

    `open_at`: when the server showed it last as not settled. What was marked by hand may settle
    twice, and an event of the first time says nothing of the second.
    """
    known = snapshot.settled_at is not None
    if snapshot.status != "Settled" or (known and not snapshot.settled_at_approximate):
        return snapshot
    if _is_of_this_time(snapshot, told, open_at):
        return replace(snapshot, settled_at=told.invoice_settled_at, settled_at_approximate=False)
    if not known:
        return replace(snapshot, settled_at=at, settled_at_approximate=True)
    return snapshot


def _is_of_this_time(snapshot: InvoiceSnapshot, told: PublishedState, open_at: int | None) -> bool:
    if told.invoice_settled_at is None or told.invoice_told_at is None:
        return False
    if snapshot.settled_at is not None:  # a pull was first
        return told.invoice_told_at >= snapshot.settled_at - SLACK_SECONDS
    return open_at is None or told.invoice_settled_at >= open_at - SLACK_SECONDS


def payment_snapshots(
    seen: Invoice, old: Mapping[PaymentKey, PaymentSnapshot], told: PublishedState, at: int
) -> dict[PaymentKey, PaymentSnapshot]:
    """The payments of an invoice after an answer, which tells of all that count or of none."""
    if seen.payments is None:
        return dict(old)
    found = {(one.method, one.id): _payment_snapshot(one, old, told, at) for one in seen.payments}
    if seen.unread_payments:  # one of them may be the one that is not there
        return {**old, **found}
    gone = {
        key: replace(one, status="Invalid", settled_at=None)
        for key, one in old.items()
        if key not in found
    }
    return found | gone


def _payment_snapshot(
    seen: Payment, old: Mapping[PaymentKey, PaymentSnapshot], told: PublishedState, at: int
) -> PaymentSnapshot:
    before = old.get((seen.method, seen.id))
    settled_at = None
    if seen.status == "Settled":
        event_at = told.payment_settled_at
        settled_at = before.settled_at if before is not None else None
        if settled_at is None:
            settled_at = at if event_at is None or event_at < seen.received_at else event_at
    return PaymentSnapshot(
        method=seen.method,
        currency=seen.currency,
        id=seen.id,
        value=seen.value,
        value_msats=seen.value_msats,
        status=seen.status,
        received_at=seen.received_at,
        rate=seen.rate,
        settled_at=settled_at,
    )


def invoice_changes(
    old: InvoiceSnapshot | None,
    new: InvoiceSnapshot,
    before: Mapping[PaymentKey, PaymentSnapshot],
    after: Mapping[PaymentKey, PaymentSnapshot],
) -> Iterator[Change]:
    """What happened: the invoice has another status, or shows anything else anew that no change of
    a payment tells; then its payments.
    """
    moved = [one for key, one in after.items() if key not in before or before[key] != one]
    told = [one for one in moved if _is_news(before.get(one.key), one)]
    states = (None, None) if old is None else (old.status, old.additional_status)
    if states != (new.status, new.additional_status) or (not told and (moved or old != new)):
        yield Change(INVOICE_CHANGES[new.status], "btcpay", new.subject, reference=new.subject)
    for one in told:
        yield Change(_PAYMENT_TOLD[one.status], "btcpay", new.subject, reference=one.id)


def _is_news(before: PaymentSnapshot | None, after: PaymentSnapshot) -> bool:
    return after.status in _PAYMENT_TOLD and (before is None or before.status != after.status)


def events_due(
    old: InvoiceSnapshot | None,
    new: InvoiceSnapshot,
    before: Mapping[PaymentKey, PaymentSnapshot],
    after: Mapping[PaymentKey, PaymentSnapshot],
) -> set[str]:
    """The types of the events that should have told what is new. Source: btcpay.md 8 and 12.5."""
    due: set[str] = set()
    if old is None:
        due.add("InvoiceCreated")
    if (old is None or old.status != new.status) and new.status in _STATUS_EVENTS:
        due.add(_STATUS_EVENTS[new.status])
    for key, one in after.items():
        known = before.get(key)
        if known is None and one.status != "Invalid":
            due.add("InvoiceReceivedPayment")
        if one.status == "Settled" and (known is None or known.status != "Settled"):
            due.add("InvoicePaymentSettled")
    return due


def coins_of(payments: Iterable[PaymentSnapshot]) -> set[str]:
    """The references of those that are money in bitcoin."""
    return {one.id for one in payments if one.value_msats is not None}
