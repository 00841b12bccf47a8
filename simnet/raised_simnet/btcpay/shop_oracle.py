"""What the shops have raised, added up from what people paid there and meant by it.

What an invoice is called is the server's word. What came is the buyers': each knows the coin it
sent and for what. One coin is one payment, in however many shops it shows; a coin that is locked in
a project is an investment and no payment.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from raised.domain.bitcoin.tx import Txid
from raised_simnet.btcpay.decimals import plain
from raised_simnet.btcpay.invoice import ON_CHAIN, Exceptional, Invoice, InvoiceState, Status
from raised_simnet.btcpay.refund import PayoutState
from raised_simnet.btcpay.shop_player import Receipts
from raised_simnet.btcpay.shop_steps import Label
from raised_simnet.story.journal import Journal
from raised_simnet.story.steps import Buys

Json = dict[str, object]

SAT_MSATS: Final = 1000


@dataclass(frozen=True, slots=True)
class ShopTotals:
    """Millisatoshis. `received`: what each invoice brought, those that brought nothing left out."""

    received: dict[Label, int]
    pending: int
    returned: int
    btcpay: Json


def shop_totals(book: Journal, receipts: Receipts) -> ShopTotals:
    """What the shops have."""
    received: defaultdict[Label, int] = defaultdict(int)
    pending = 0
    for label, msats, state in _paid(book, receipts):
        if state is InvoiceState.SETTLED:
            received[label] += msats
        elif state is InvoiceState.PROCESSING:
            pending += msats
    returned = _returned(receipts)
    rows = _rows(dict(received), pending, returned, receipts)
    return ShopTotals(dict(received), pending, returned, rows)


def _paid(book: Journal, receipts: Receipts) -> Iterator[tuple[Label, int, InvoiceState]]:
    """Every payment in bitcoin: for which invoice (the first, of several), how much, how sure."""
    for label, msats in receipts.lightning:
        yield label, msats, InvoiceState.SETTLED
    for entry in book.paid.values():
        if isinstance(entry.meaning, Buys):
            invoices = [receipts.invoices[label] for label in entry.meaning.invoices]
            state = _surest(invoices, entry.tx.txid)
            yield entry.meaning.invoices[0], entry.meaning.sats * SAT_MSATS, state


def _surest(invoices: list[Invoice], txid: Txid) -> InvoiceState:
    """What becomes of a coin: whoever of its receivers is surest."""
    seen = [invoice.payment(ON_CHAIN, f"{txid}-0") for invoice in invoices]
    standings = {payment.state for payment in seen if payment is not None}
    for state in (InvoiceState.SETTLED, InvoiceState.PROCESSING):
        if state in standings:
            return state
    return InvoiceState.INVALID


def _returned(receipts: Receipts) -> int:
    """What has left as refund; other offers are no business of an invoice."""
    done = (
        label
        for label, payout in receipts.payouts.items()
        if payout.state is PayoutState.COMPLETED and receipts.offers[label].invoice is not None
    )
    return sum(_msats(receipts.payouts[label].amount) for label in done)


def _msats(amount: Decimal) -> int:
    return int(amount.scaleb(11))


def _rows(received: dict[Label, int], pending: int, returned: int, receipts: Receipts) -> Json:
    """The `btcpay` part of the summary."""
    invoices = receipts.invoices
    raised = sum(received.values()) // SAT_MSATS
    back = returned // SAT_MSATS
    statuses = [str(invoice.status) for invoice in invoices.values()]
    disowned = (
        msats for label, msats in received.items() if _is_marked(invoices[label], Status.INVALID)
    )
    unpaid = (
        invoice
        for invoice in invoices.values()
        if _is_marked(invoice, Status.SETTLED) and not invoice.accounted
    )
    return {
        "raised_sats": raised,
        "returned_sats": back,
        "net_sats": raised - back,
        "pending_sats": pending // SAT_MSATS,
        "disowned_sats": sum(disowned) // SAT_MSATS,
        "off_platform_invoices": len(list(unpaid)),
        "invoices": len(invoices),
        "invoices_by_status": {
            **{status.value: statuses.count(status) for status in _ORDER},
            "Other": 0,
        },
        "other_currencies": _other_coins(receipts),
    }


_ORDER: Final = (Status.NEW, Status.PROCESSING, Status.SETTLED, Status.EXPIRED, Status.INVALID)


def _is_marked(invoice: Invoice, status: Status) -> bool:
    return (invoice.status, invoice.exceptional) == (status, Exceptional.MARKED)


def _other_coins(receipts: Receipts) -> list[Json]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for _, currency, amount in receipts.other_coins:
        sums[currency] += amount
    return [{"currency": coin, "amount": plain(sums[coin])} for coin in sorted(sums)]
