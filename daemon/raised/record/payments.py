"""Recomputes payments and refunds: each coin counts once, among all claims and the chain."""

from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import claims, movements, payouts
from raised.db.facts.invoices import campaigns_of
from raised.domain.angor.investment_snapshot import InvestmentSnapshot
from raised.domain.bitcoin.tx import Txid
from raised.domain.btcpay.coin_claims import (
    deduplicate_refunds,
    receipts_by_invoice,
    resolve_claims,
)
from raised.domain.btcpay.invoice_snapshot import subject_of
from raised.domain.change import Change
from raised.domain.ledger import Correction, InvoiceKey, LedgerRow, correct, effects
from raised.record.dirty_set import DirtySet


async def recompute_payments(conn: AsyncConnection, dirty: DirtySet) -> Correction:
    """Bring payments and refunds in line with the facts; the rows that must be booked."""
    correction = Correction()
    if dirty.coins:
        correction = await _recompute_coins(conn, dirty.coins)
    if dirty.payouts:
        correction = correction.merged_with(await _recompute_refunds(conn, dirty))
    if correction:
        rows = (*(booked.row for booked in correction.reversals), *correction.rows)
        owners = await campaigns_of(conn, {row.invoice for row in rows if row.invoice is not None})
        await movements.add_to_hour_totals(conn, effects(correction, owners))
    return correction


async def mark_claimed_coins(
    conn: AsyncConnection,
    before: Mapping[Txid, InvestmentSnapshot],
    after: Mapping[Txid, InvestmentSnapshot],
    dirty: DirtySet,
) -> None:
    """Mark coins of investments that changed their state, where an invoice claims them, too."""
    coins: set[str] = set()
    for txid in before.keys() | after.keys():
        old, new = _coins(before.get(txid)), _coins(after.get(txid))
        coins |= {coin for coin in old.keys() | new.keys() if old.get(coin) != new.get(coin)}
    dirty.coins |= await claims.claimed_coins(conn, coins)


def _coins(snapshot: InvestmentSnapshot | None) -> dict[str, str]:
    if snapshot is None:
        return {}
    return {f"{snapshot.txid}:{stage.vout}": snapshot.status for stage in snapshot.stages}


async def _recompute_coins(conn: AsyncConnection, coins: Iterable[str]) -> Correction:
    """Recompute all coins of all invoices that claim one of these coins.

    All of them, because an invoice's sums are over all its coins.
    """
    invoices = {claim.invoice for claim in await claims.claims_on(conn, coins)}
    all_coins = await claims.coins_of_invoices(conn, invoices) | set(coins)
    booked = await movements.booked_payments(conn, all_coins)
    invoices |= {entry.row.invoice for entry in booked if entry.row.invoice is not None}
    staged = await claims.stage_outputs_among(conn, all_coins)
    results = resolve_claims(await claims.claims_on(conn, all_coins), booked, staged)
    due = [result.counted.row for result in results.values() if result.counted is not None]
    stored = await claims.receipts_of(conn, invoices)
    receipts = receipts_by_invoice(results.values(), invoices)
    changed = {key: value for key, value in receipts.items() if stored.get(key) != value}
    await claims.put_receipts(conn, changed)
    return correct(booked, due)


async def _recompute_refunds(conn: AsyncConnection, dirty: DirtySet) -> Correction:
    ids = sorted({payout_id for _, payout_id in dirty.payouts})
    booked = await movements.booked_refunds(conn, ids)
    due = deduplicate_refunds(await payouts.refunds_due(conn, ids), booked)
    correction = correct(booked, due)
    for row in correction.rows:
        _announce_refund(row, dirty)
    return correction


def _announce_refund(row: LedgerRow, dirty: DirtySet) -> None:
    key: InvoiceKey | None = row.invoice
    assert key is not None, "a refund has an invoice"
    subject = subject_of(key)
    dirty.add_change(Change("refund.completed", "btcpay", subject, reference=row.reference))
