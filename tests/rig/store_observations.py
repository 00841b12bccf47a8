"""Observations of a store, as its source would publish them, for the tests of the record."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raised.domain.btcpay.invoice import Invoice, Payment, PaymentStatus, Payout, PullPayment, msats
from raised.domain.observation import DeliveriesDone, InvoicesSeen, RefundsSeen, SweepDone

START = 1_768_435_200  # 2026-01-15, midnight
HASH = "ab" * 32


def coin(number: int, vout: int = 0) -> str:
    """A made-up outpoint."""
    return f"{number:064x}:{vout}"


def payment(
    reference: str,
    value: str = "0.001",
    status: PaymentStatus = "Settled",
    *,
    at: int = START + 100,
    method: str | None = None,
    currency: str = "BTC",
) -> Payment:
    """Money for an invoice, on the chain unless its reference is a hash."""
    if method is None:
        method = "BTC-CHAIN" if ":" in reference else "BTC-LN"
    value_msats = msats(value) if currency == "BTC" else None
    return Payment(method, currency, reference, value, value_msats, status, at, "64000.5")


def invoice(invoice_id: str, *payments: Payment, **other: Any) -> Invoice:
    """An invoice over 50 USD that was paid so, Settled if it was."""
    known: dict[str, Any] = {
        "id": invoice_id,
        "status": "Settled" if payments else "New",
        "additional_status": "None",
        "type": "Standard",
        "currency": "USD",
        "amount": "50",
        "paid_amount": "50.00" if payments else "0",
        "created_at": START,
        "expires_at": START + 900,
        "monitored_until": START + 87_300,
        "archived": False,
        "metadata": {},
        "payments": payments,
    }
    return Invoice(**(known | other))


@dataclass
class StoreObservations:
    """Makes the observations of one store, each a second after the one before."""

    label: str = "shop"
    now: int = START + 10_000

    def invoices_seen(
        self,
        *invoices: Invoice,
        origin: Any = "delivery",
        asked_at: int | None = None,
        apps: Mapping[str, frozenset[str]] | None = None,
    ) -> InvoicesSeen:
        """An answer with these invoices."""
        self.now += 1
        asked = self.now - 1 if asked_at is None else asked_at
        return InvoicesSeen(self.label, self.now, asked, origin, invoices, apps or {})

    def sweep_done(
        self, sweep: Any = "full", began_at: int | None = None, since: int = 0
    ) -> SweepDone:
        """A sweep has ended; it began now unless `began_at` says otherwise."""
        self.now += 1
        began = self.now if began_at is None else began_at
        return SweepDone(self.label, self.now, sweep, began, since)

    def refunds_seen(self, pulls: Iterable[PullPayment], *payouts: Payout) -> RefundsSeen:
        """All pull payments and payouts."""
        self.now += 1
        return RefundsSeen(self.label, self.now, tuple(pulls), payouts)

    def deliveries_done(self, results: Mapping[int, str], **refunds: str) -> DeliveriesDone:
        """Results of deliveries; `refunds`: the invoice of each pull payment."""
        self.now += 1
        return DeliveriesDone(self.label, self.now, results, refunds)


def pull(pull_id: str, name: str | None) -> PullPayment:
    return PullPayment(pull_id, name, "BTC", "0.001")


def payout(payout_id: str, pull_id: str | None, value: str = "0.0004", **other: Any) -> Payout:
    """A completed payout in bitcoin."""
    done = Payout(
        id=payout_id,
        pull_payment_id=pull_id,
        state="Completed",
        method="BTC-CHAIN",
        currency="BTC",
        amount=value,
        value_msats=msats(value),
        at=START + 5000,
        txid=HASH,
    )
    return replace(done, **other)
