"""The invoice state machine. Source: docs/btcpay.md 5 (the server's InvoiceWatcher)."""

from collections.abc import Iterator

from raised_simnet.btcpay.invoice import Exceptional, Invoice, Status
from raised_simnet.btcpay.webhook_event import Event, invoice_event


def advance(invoice: Invoice, now: int) -> Iterator[Event]:
    """Let an invoice become what its payments and the clock make of it; what is told."""
    if invoice.status is Status.NEW and invoice.terms.expires_at <= now:
        yield from _expire(invoice)
    if invoice.status in {Status.NEW, Status.EXPIRED}:
        yield from _receive(invoice)
    if invoice.status is Status.PROCESSING:
        _reconsider(invoice)
    if invoice.status is Status.PROCESSING:
        yield from _conclude(invoice, now)


def mark(invoice: Invoice, status: Status) -> Event:
    """A person says what it is. What it was before is forgotten."""
    assert status in invoice.markable, "what the server offers to mark"
    invoice.status = status
    invoice.exceptional = Exceptional.MARKED
    if status is Status.SETTLED:
        return invoice_event("InvoiceSettled", invoice, manuallyMarked=True, overPaid=False)
    return invoice_event("InvoiceInvalid", invoice, manuallyMarked=True)


def _expire(invoice: Invoice) -> Iterator[Event]:
    invoice.status = Status.EXPIRED
    partly = invoice.exceptional is Exceptional.PAID_PARTIAL
    yield invoice_event("InvoiceExpired", invoice, partiallyPaid=partly)
    if partly:
        yield invoice_event("InvoiceExpiredPaidPartial", invoice)


def _receive(invoice: Invoice) -> Iterator[Event]:
    """Whether enough has come, in time or late."""
    has_payment = bool(invoice.accounted)
    underpaid = invoice.paid < invoice.enough
    enough = has_payment if invoice.is_unset_top_up else not underpaid
    if enough and invoice.status is Status.NEW:
        if invoice.is_unset_top_up:
            invoice.terms.price = invoice.paid
        invoice.status = Status.PROCESSING
        invoice.exceptional = _excess(invoice)
        over = invoice.exceptional is Exceptional.PAID_OVER
        yield invoice_event("InvoiceProcessing", invoice, overPaid=over)
    elif enough and invoice.exceptional is not Exceptional.PAID_LATE and has_payment:
        invoice.exceptional = Exceptional.PAID_LATE
        yield invoice_event("InvoicePaidAfterExpiration", invoice)
    elif has_payment and underpaid:
        invoice.exceptional = Exceptional.PAID_PARTIAL


def _reconsider(invoice: Invoice) -> None:
    """A payment may have been replaced: then it waits for money again, and nobody is told."""
    if invoice.paid < invoice.enough:
        invoice.status = Status.NEW
        partly = bool(invoice.accounted)
        invoice.exceptional = Exceptional.PAID_PARTIAL if partly else Exceptional.NONE
    else:
        invoice.exceptional = _excess(invoice)


def _conclude(invoice: Invoice, now: int) -> Iterator[Event]:
    if invoice.settled >= invoice.enough:
        invoice.status = Status.SETTLED
        over = invoice.exceptional is Exceptional.PAID_OVER
        yield invoice_event("InvoiceSettled", invoice, manuallyMarked=False, overPaid=over)
    elif invoice.terms.monitored_until < now:
        invoice.status = Status.INVALID
        yield invoice_event("InvoiceInvalid", invoice, manuallyMarked=False)


def _excess(invoice: Invoice) -> Exceptional:
    over = invoice.paid > invoice.terms.price
    return Exceptional.PAID_OVER if over else Exceptional.NONE
