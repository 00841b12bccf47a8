"""The numbers of stores: what invoices brought, by what they are now."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Final

import msgspec
from sqlalchemy import Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import (
    hour_total,
    invoice,
    invoice_payment,
    movement,
    payout,
    pull_payment,
)

_EXACT_DIGITS: Final = 100  # tokens have 18 behind the point
_MARKED = invoice.c.additional_status == "Marked"


class InvoicesByStatus(msgspec.Struct, frozen=True, rename="pascal"):
    new: int
    processing: int
    settled: int
    expired: int
    invalid: int
    other: int


@dataclass(frozen=True, slots=True)
class StoreTotals:
    """Millisatoshis and counts. `other_currencies`: decimal text by coin, never converted."""

    raised_msats: int
    returned_msats: int
    pending_msats: int
    disowned_msats: int
    off_platform: int
    contributions: int
    by_status: InvoicesByStatus
    other_currencies: dict[str, str]


async def store_totals(conn: AsyncConnection, campaign: str | None) -> StoreTotals:
    """The totals of all invoices, or of those of one campaign."""
    counted = await _counted(conn, campaign)
    marked = select(func.coalesce(func.sum(invoice.c.counted_msats), 0))
    disowned = marked.where(invoice.c.status == "Invalid", _MARKED)
    pending = select(func.sum(invoice.c.pending_msats)).where(invoice.c.pending_msats > 0)
    if campaign is not None:  # those that wait are few, a campaign's invoices need not be
        pending = pending.where(func.coalesce(invoice.c.campaign, "") == campaign)
    return StoreTotals(
        raised_msats=counted[0],
        returned_msats=await _refunded(conn, campaign),
        pending_msats=int(await conn.scalar(pending) or 0),
        disowned_msats=await _one(conn, disowned, campaign),
        off_platform=await _one(conn, _off_platform(), campaign),
        contributions=counted[1],
        by_status=await _by_status(conn, campaign),
        other_currencies=await _other_currencies(conn, campaign),
    )


async def _one(conn: AsyncConnection, statement: Select[Any], campaign: str | None) -> int:
    return int(await conn.scalar(_within(statement, campaign)) or 0)


def _within(statement: Select[Any], campaign: str | None) -> Select[Any]:
    return statement if campaign is None else statement.where(invoice.c.campaign == campaign)


async def _counted(conn: AsyncConnection, campaign: str | None) -> tuple[int, int]:
    sums = select(func.coalesce(func.sum(invoice.c.counted_msats), 0), func.count())
    statement = _within(sums.where(invoice.c.counted_msats > 0), campaign)
    raised, contributions = (await conn.execute(statement)).one()
    return int(raised), int(contributions)


async def _refunded(conn: AsyncConnection, campaign: str | None) -> int:
    if campaign is None:
        return int(await conn.scalar(_all_refunds()) or 0)
    total = hour_total.c
    statement = select(func.sum(total.amount_msats)).where(
        total.kind == "refund", total.source == "btcpay", total.owner == campaign
    )
    return int(await conn.scalar(statement) or 0)


def _all_refunds() -> Select[Any]:
    """Found by the payouts, which are few: sums by hour are many, and kinds have no index."""
    row, pull = movement.c, pull_payment.c
    owned = and_(pull.store == payout.c.store, pull.id == payout.c.pull_payment_id)
    linked = (
        select(payout.c.id)
        .join_from(payout, pull_payment, owned)
        .where(pull.invoice_id.is_not(None))
        .distinct()
        .subquery()
    )
    return (
        select(func.sum(row.amount_msats))
        .select_from(linked.join(movement, row.reference == linked.c.id))
        .where(row.kind == "refund", row.reversed_by.is_(None))
    )


def _off_platform() -> Select[Any]:
    """Marked settled by hand, with nothing that was ever paid to it."""
    paid = select(invoice_payment.c.id).where(
        invoice_payment.c.store == invoice.c.store,
        invoice_payment.c.invoice_id == invoice.c.id,
        invoice_payment.c.status != "Invalid",
    )
    return select(func.count()).where(invoice.c.status == "Settled", _MARKED, ~paid.exists())


async def _by_status(conn: AsyncConnection, campaign: str | None) -> InvoicesByStatus:
    statement = select(invoice.c.status, func.count()).group_by(invoice.c.status)
    counts = dict.fromkeys(InvoicesByStatus.__struct_encode_fields__, 0)
    for status, number in await conn.execute(_within(statement, campaign)):
        counts[status] = int(number)
    return msgspec.convert(counts, InvoicesByStatus)


async def _other_currencies(conn: AsyncConnection, campaign: str | None) -> dict[str, str]:
    payment = invoice_payment.c
    # Also those in BTC or SATS by a method that is not bitcoin's.
    statement = select(payment.currency, payment.value).where(
        payment.value_msats.is_(None), payment.status == "Settled"
    )
    if campaign is not None:
        # Not a join: those in another coin are few, and the planner might begin with the invoices.
        mine = select(invoice.c.id).where(
            invoice.c.store == payment.store,
            invoice.c.id == payment.invoice_id,
            invoice.c.campaign == campaign,
        )
        statement = statement.where(mine.exists())
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    with localcontext(prec=_EXACT_DIGITS):
        for currency, value in await conn.execute(statement):
            sums[currency] += Decimal(value)
    return {currency: _plain(sums[currency]) for currency in sorted(sums)}


def _plain(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
