"""Decide payments and refunds anew: each coin once, from all who claim it and from the chain."""

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
from raised.record.dirty import DirtySet


async def recompute_payments(conn: AsyncConnection, dirty: DirtySet) -> Correction:
    """Bring what was paid and refunded in line with the facts; the rows that must be booked."""
    correction = Correction()
    if dirty.coins:
        correction = await _settle_payments(conn, dirty.coins)
    if dirty.payouts:
        correction = correction.and_also(await _settle_refunds(conn, dirty))
    if correction:
        rows = (*(one.row for one in correction.reversals), *correction.rows)
        owners = await campaigns_of(conn, {row.invoice for row in rows if row.invoice is not None})
        await movements.add_to_hours(conn, effects(correction, owners))
    return correction


async def touch_coins(
    conn: AsyncConnection,
    before: Mapping[Txid, InvestmentSnapshot],
    after: Mapping[Txid, InvestmentSnapshot],
    dirty: DirtySet,
) -> None:
    """The coins of investments that count otherwise now, where an invoice claims them, too."""
    coins: set[str] = set()
    for txid in before.keys() | after.keys():
        old, new = _coins(before.get(txid)), _coins(after.get(txid))
        coins |= {coin for coin in old.keys() | new.keys() if old.get(coin) != new.get(coin)}
    dirty.coins |= await claims.claimed_among(conn, coins)


def _coins(snapshot: InvestmentSnapshot | None) -> dict[str, str]:
    if snapshot is None:
        return {}
    return {f"{snapshot.txid}:{stage.vout}": snapshot.status for stage in snapshot.stages}


async def _settle_payments(conn: AsyncConnection, coins: Iterable[str]) -> Correction:
    """Decide all coins of all invoices that claim one of these: their sums are over all of them."""
    concerned = {one.invoice for one in await claims.claims_on(conn, coins)}
    every = await claims.coins_of_invoices(conn, concerned) | set(coins)
    booked = await movements.booked_payments(conn, every)
    concerned |= {one.row.invoice for one in booked if one.row.invoice is not None}
    staged = await claims.staged_among(conn, every)
    verdicts = resolve_claims(await claims.claims_on(conn, every), booked, staged)
    due = [one.counted.row for one in verdicts.values() if one.counted is not None]
    shown = await claims.received_by(conn, concerned)
    found = receipts_by_invoice(verdicts.values(), concerned)
    await claims.put_received(
        conn, {key: one for key, one in found.items() if shown.get(key) != one}
    )
    return correct(booked, due)


async def _settle_refunds(conn: AsyncConnection, dirty: DirtySet) -> Correction:
    ids = sorted({payout_id for _, payout_id in dirty.payouts})
    booked = await movements.booked_refunds(conn, ids)
    due = deduplicate_refunds(await payouts.refunds_due(conn, ids), booked)
    correction = correct(booked, due)
    for row in correction.rows:
        _tell_refund(row, dirty)
    return correction


def _tell_refund(row: LedgerRow, dirty: DirtySet) -> None:
    key: InvoiceKey | None = row.invoice
    assert key is not None, "a refund has an invoice"
    subject = subject_of(key)
    dirty.tell(Change("refund.completed", "btcpay", subject, reference=row.reference))
