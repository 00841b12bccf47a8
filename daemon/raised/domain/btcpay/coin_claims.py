"""Counts each coin once: which of the payments that name a coin counts.

A coin is named by its reference: `txid:vout` on the chain, the payment hash off it. Two stores that
share a wallet show it twice, and it may be the stage output of an investment, too. Source:
docs/btcpay.md 4.4 and 12.6.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from raised.domain.bitcoin.tx import Txid
from raised.domain.btcpay.invoice import PaymentStatus
from raised.domain.ledger import BookedRow, InvoiceKey, LedgerRow

# The coin is a stage output of an investment of this status.
StageOutputStatus = Literal["unconfirmed", "confirmed"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A payment in bitcoin that names a coin as the money of an invoice."""

    store: str
    invoice_id: str
    method: str
    reference: str
    amount_msats: int
    status: PaymentStatus
    received_at: int
    txid: Txid | None

    @property
    def invoice(self) -> InvoiceKey:
        """The invoice that it would pay."""
        return self.store, self.invoice_id

    @property
    def order(self) -> tuple[int, str, str, str]:
        """The least of several claims has the coin, in whatever order they became known."""
        return self.received_at, self.store, self.invoice_id, self.method

    @property
    def row(self) -> LedgerRow:
        """The ledger row that books it."""
        return LedgerRow(
            kind="payment",
            amount_msats=self.amount_msats,
            at=self.received_at,
            height=None,
            block_hash=None,
            reference=self.reference,
            txid=self.txid,
            store=self.store,
            invoice_id=self.invoice_id,
        )


@dataclass(frozen=True, slots=True)
class CoinResult:
    """The claim that a coin counts for, else the one that it may count for later."""

    counted: Claim | None = None
    pending: Claim | None = None


def resolve_claims(
    claims: Iterable[Claim], booked: Iterable[BookedRow], staged: Mapping[str, StageOutputStatus]
) -> dict[str, CoinResult]:
    """Which claim each coin counts for. `claims` must have all claims of a coin.

    `booked`: the payment rows that are not reversed; a booked claim keeps its coin while its
    payment is settled. A stage output of a confirmed investment is no payment of an invoice, and
    one of an investment that may still be confirmed is not pending a second time.
    """
    booked_rows = {entry.row.reference: entry.row for entry in booked}
    by_coin: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.amount_msats > 0:
            by_coin[claim.reference].append(claim)
    return {
        reference: _resolve(rivals, booked_rows.get(reference), staged.get(reference))
        for reference, rivals in by_coin.items()
    }


def _resolve(
    claims: list[Claim], booked: LedgerRow | None, staged: StageOutputStatus | None
) -> CoinResult:
    if staged == "confirmed":
        return CoinResult()

    def rank(claim: Claim) -> tuple[bool, bool, tuple[int, str, str, str]]:
        if booked is None:
            return True, True, claim.order
        return claim.row.key != booked.key, claim.invoice != booked.invoice, claim.order

    settled = [claim for claim in claims if claim.status == "Settled"]
    if settled:
        return CoinResult(counted=min(settled, key=rank))
    waiting = [claim for claim in claims if claim.status == "Processing"]
    if waiting and staged is None:
        # Not by `rank`: the booked row is reversed now, and the next call would not know of it.
        return CoinResult(pending=min(waiting, key=lambda claim: claim.order))
    return CoinResult()


def deduplicate_refunds(due: Iterable[LedgerRow], booked: Iterable[BookedRow]) -> list[LedgerRow]:
    """One row for each reference: the one of the store that has it booked, else the first."""
    booked_stores = {entry.row.reference: entry.row.store for entry in booked}
    chosen: dict[str, LedgerRow] = {}
    for row in due:
        if row.reference not in chosen or row.store == booked_stores.get(row.reference):
            chosen[row.reference] = row
    return list(chosen.values())


@dataclass(frozen=True, slots=True)
class InvoiceReceipts:
    """What an invoice received, in millisatoshis, and when the first counted payment came."""

    counted_msats: int = 0
    pending_msats: int = 0
    first_counted_at: int | None = None


def receipts_by_invoice(
    results: Iterable[CoinResult], invoices: Iterable[InvoiceKey]
) -> dict[InvoiceKey, InvoiceReceipts]:
    """What these invoices received; `results` must have those of all their coins."""
    counted: dict[InvoiceKey, list[Claim]] = {key: [] for key in invoices}
    pending: dict[InvoiceKey, int] = dict.fromkeys(counted, 0)
    for result in results:
        if result.counted is not None and result.counted.invoice in counted:
            counted[result.counted.invoice].append(result.counted)
        if result.pending is not None and result.pending.invoice in pending:
            pending[result.pending.invoice] += result.pending.amount_msats
    return {
        key: InvoiceReceipts(
            sum(claim.amount_msats for claim in claims),
            pending[key],
            min((claim.received_at for claim in claims), default=None),
        )
        for key, claims in counted.items()
    }
