"""One coin once: which of the payments that name a coin counts.

A coin is named by its reference: `txid:vout` on the chain, the payment hash off it. Two stores that
share a wallet show it twice, and it may be the stage output of an investment, too. Source:
design.md 5; btcpay.md 4.4 and 12.6.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from raised.domain.bitcoin.tx import Txid
from raised.domain.btcpay.invoice import PaymentStatus
from raised.domain.ledger import BookedRow, InvoiceKey, LedgerRow

StageOutputStatus = Literal[
    "unconfirmed", "confirmed"
]  # the coin is a stage output of such an investment


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
        """Whose money it would be."""
        return self.store, self.invoice_id

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Of several the first has the coin, whatever the order in which we learnt of them."""
        return self.received_at, self.store, self.invoice_id, self.method

    @property
    def row(self) -> LedgerRow:
        """The row that counts it."""
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
    """What becomes of a coin: the claim that counts, else the one that may count yet."""

    counted: Claim | None = None
    pending: Claim | None = None


def resolve_claims(
    claims: Iterable[Claim], booked: Iterable[BookedRow], staged: Mapping[str, StageOutputStatus]
) -> dict[str, CoinResult]:
    """What becomes of each coin that is claimed. All claims of a coin must be there.

    `booked` are the payment rows that stand; whose row stands keeps the coin while its payment is
    settled. A stage output of a confirmed investment is nobody's payment, and that of one that may
    be confirmed yet is not pending a second time.
    """
    holders = {one.row.reference: one.row for one in booked}
    by_coin: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.amount_msats > 0:
            by_coin[claim.reference].append(claim)
    return {
        reference: _verdict(found, holders.get(reference), staged.get(reference))
        for reference, found in by_coin.items()
    }


def _verdict(
    claims: list[Claim], holder: LedgerRow | None, staged: StageOutputStatus | None
) -> CoinResult:
    if staged == "confirmed":
        return CoinResult()

    def rank(claim: Claim) -> tuple[bool, bool, tuple[int, str, str, str]]:
        if holder is None:
            return True, True, claim.order
        return claim.row.key != holder.key, claim.invoice != holder.invoice, claim.order

    settled = [one for one in claims if one.status == "Settled"]
    if settled:
        return CoinResult(counted=min(settled, key=rank))
    waiting = [one for one in claims if one.status == "Processing"]
    if waiting and staged is None:
        # Whoever had it: a row that is reversed leaves no claim, and the next look knows of none.
        return CoinResult(pending=min(waiting, key=lambda claim: claim.order))
    return CoinResult()


def deduplicate_refunds(due: Iterable[LedgerRow], booked: Iterable[BookedRow]) -> list[LedgerRow]:
    """Of rows that are due with the same reference the one whose store has it, else the first."""
    holders = {one.row.reference: one.row.store for one in booked}
    chosen: dict[str, LedgerRow] = {}
    for row in due:
        if row.reference not in chosen or row.store == holders.get(row.reference):
            chosen[row.reference] = row
    return list(chosen.values())


@dataclass(frozen=True, slots=True)
class InvoiceReceipts:
    """What an invoice received, in millisatoshis, and when the first that counts came."""

    counted_msats: int = 0
    pending_msats: int = 0
    first_counted_at: int | None = None


def receipts_by_invoice(
    verdicts: Iterable[CoinResult], invoices: Iterable[InvoiceKey]
) -> dict[InvoiceKey, InvoiceReceipts]:
    """What these invoices received; `verdicts` must hold those of all their coins."""
    counted: dict[InvoiceKey, list[Claim]] = {key: [] for key in invoices}
    pending: dict[InvoiceKey, int] = dict.fromkeys(counted, 0)
    for one in verdicts:
        if one.counted is not None and one.counted.invoice in counted:
            counted[one.counted.invoice].append(one.counted)
        if one.pending is not None and one.pending.invoice in pending:
            pending[one.pending.invoice] += one.pending.amount_msats
    return {
        key: InvoiceReceipts(
            sum(one.amount_msats for one in found),
            pending[key],
            min((one.received_at for one in found), default=None),
        )
        for key, found in counted.items()
    }
