"""Movements: the ledger, and the sums that follow from it. Rows are added, never changed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Row, Select, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import accumulate, add, rows_among
from raised.db.schema import hour_total, movement
from raised.domain.bitcoin.tx import Txid
from raised.domain.ledger import (
    REVERSAL,
    BookedRow,
    Correction,
    Effect,
    LedgerRow,
    RowKind,
)

_HOUR_SECONDS: Final = 3600


async def booked_rows(conn: AsyncConnection, investment_txids: Iterable[Txid]) -> list[BookedRow]:
    """The rows of these investments that no reversal has undone."""
    return await _booked_among(conn, movement.c.investment_txid, investment_txids)


async def booked_payments(conn: AsyncConnection, references: Iterable[str]) -> list[BookedRow]:
    """The booked payments of these coins that no reversal has undone; one each."""
    booked = await _booked_among(conn, movement.c.reference, references)
    return [entry for entry in booked if entry.row.kind == "payment"]


async def booked_refunds(conn: AsyncConnection, payouts: Iterable[str]) -> list[BookedRow]:
    """The booked refunds of payouts with these ids, of all stores, that no reversal has undone."""
    booked = await _booked_among(conn, movement.c.reference, payouts)
    return [entry for entry in booked if entry.row.kind == "refund"]


async def booked_of_invoices(
    conn: AsyncConnection, store: str, invoice_ids: Iterable[str]
) -> list[BookedRow]:
    """The rows of these invoices of a store that no reversal has undone."""
    statement = _active().where(movement.c.store == store)
    rows = await rows_among(conn, statement, movement.c.invoice_id, invoice_ids)
    return [BookedRow(row.id, _ledger_row(row)) for row in rows]


async def _booked_among(
    conn: AsyncConnection, column: ColumnElement[Any], keys: Iterable[str]
) -> list[BookedRow]:
    rows = await rows_among(conn, _active(), column, keys)
    return [BookedRow(row.id, _ledger_row(row)) for row in rows]


def _active() -> Select[Any]:
    return select(movement).where(movement.c.reversed_by.is_(None), movement.c.kind != REVERSAL)


async def book(
    conn: AsyncConnection, correction: Correction, first_id: int, first_seq: int, at: int
) -> list[int]:
    """Add the reversals and rows of a correction, numbered from `first_id`; their numbers. The
    changes about them begin at `first_seq`.
    """
    planned: list[tuple[LedgerRow, int | None]] = [
        *((entry.row, entry.id) for entry in correction.reversals),
        *((row, None) for row in correction.rows),
    ]
    rows = [
        _columns(row, reverses, at) | {"id": first_id + number, "seq": first_seq + number}
        for number, (row, reverses) in enumerate(planned)
    ]
    await add(conn, movement, rows)
    undone = [{"key": row["reverses"], "by": row["id"]} for row in rows if row["reverses"]]
    if undone:
        statement = update(movement).where(movement.c.id == bindparam("key"))
        await conn.execute(statement.values(reversed_by=bindparam("by")), undone)
    return [row["id"] for row in rows]


async def add_to_hour_totals(conn: AsyncConnection, effects: Sequence[Effect]) -> None:
    """Add new ledger rows to the sums by hour; an hour without rows has no sum."""
    sums: defaultdict[tuple[int, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for effect in effects:
        row = effect.row
        total = sums[(row.at - row.at % _HOUR_SECONDS, row.source, effect.owner, row.kind)]
        total[0] += effect.amount_msats
        total[1] += effect.sign
    rows: list[dict[str, Any]] = [
        {
            "hour": hour,
            "source": source,
            "owner": owner,
            "kind": kind,
            "amount_msats": amount,
            "rows": count,
        }
        for (hour, source, owner, kind), (amount, count) in sorted(sums.items())
    ]
    await accumulate(conn, hour_total, rows, ("amount_msats", "rows"))
    if any(effect.sign < 0 for effect in effects):
        hours = sorted({row["hour"] for row in rows})
        for start in range(0, len(hours), 500):
            within = hour_total.c.hour.in_(hours[start : start + 500])
            await conn.execute(delete(hour_total).where(within, hour_total.c.rows == 0))


def _ledger_row(row: Row[Any]) -> LedgerRow:
    return LedgerRow(
        kind=cast("RowKind", row.kind),
        amount_msats=row.amount_msats,
        at=row.at,
        height=row.height,
        block_hash=row.block_hash,
        reference=row.reference,
        txid=row.txid,
        project_id=row.project_id,
        investment_txid=row.investment_txid,
        party=row.party,
        store=row.store,
        invoice_id=row.invoice_id,
    )


def _columns(row: LedgerRow, reverses: int | None, at: int) -> dict[str, Any]:
    return {
        "kind": row.kind if reverses is None else REVERSAL,
        "reverses": reverses,
        "reversed_by": None,
        "amount_msats": row.amount_msats,
        "at": row.at,
        "recorded_at": at,
        "height": row.height,
        "block_hash": row.block_hash,
        "source": row.source,
        "project_id": row.project_id,
        "store": row.store,
        "party": row.party,
        "reference": row.reference,
        "txid": row.txid,
        "investment_txid": row.investment_txid,
        "invoice_id": row.invoice_id,
    }
