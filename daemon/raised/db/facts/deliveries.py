"""Deliveries of the inbox as the daemon uses them: what to act on, when things settled, misses."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, change_among, rows_among
from raised.db.schema import delivery, expected_delivery, store
from raised.domain.btcpay.invoice_snapshot import EventTimes

_SETTLED: Final = "InvoiceSettled"
_PAYMENT_SETTLED: Final = "InvoicePaymentSettled"
_PATIENCE_SECONDS: Final = 120


class Expected(NamedTuple):
    """An event that should have come for what a pull found, received at `since_at` or later."""

    invoice_id: str
    type: str
    since_at: int


async def put_results(conn: AsyncConnection, results: Mapping[int, str], at: int) -> None:
    """These deliveries were acted on; what was acted on before keeps its result."""
    by_result: defaultdict[str, list[int]] = defaultdict(list)
    for key, result in results.items():
        by_result[result].append(key)
    for result, keys in sorted(by_result.items()):
        statement = (
            update(delivery)
            .where(delivery.c.processed_at.is_(None))
            .values(processed_at=at, result=result)
        )
        await change_among(conn, statement, delivery.c.id, sorted(keys))


async def settled_by_delivery(
    conn: AsyncConnection, label: str, ids: Iterable[str]
) -> dict[str, EventTimes]:
    """When events told last that these invoices, or payments of them, are settled."""
    newest = (
        select(
            delivery.c.invoice_id,
            delivery.c.type,
            func.max(delivery.c.sent_at).label("sent"),
            func.max(delivery.c.received_at).label("received"),
        )
        .where(delivery.c.store == label, delivery.c.type.in_((_SETTLED, _PAYMENT_SETTLED)))
        .group_by(delivery.c.invoice_id, delivery.c.type)
    )
    found: defaultdict[str, EventTimes] = defaultdict(EventTimes)
    for row in await rows_among(conn, newest, delivery.c.invoice_id, ids):
        told = found[row.invoice_id]
        found[row.invoice_id] = (
            replace(told, invoice_settled_at=row.sent, invoice_event_at=row.received)
            if row.type == _SETTLED
            else replace(told, payment_settled_at=row.sent)
        )
    return found


async def expect_deliveries(
    conn: AsyncConnection, label: str, expected: Iterable[Expected], at: int
) -> None:
    """Wait for these events; what is waited for already is not waited for longer."""
    rows = [
        {
            "store": label,
            "invoice_id": one.invoice_id,
            "type": one.type,
            "since_at": one.since_at,
            "due_at": at + _PATIENCE_SECONDS,
        }
        for one in expected
    ]
    await add(conn, expected_delivery, rows)


async def count_missed_deliveries(conn: AsyncConnection, now: int) -> None:
    """Of the events that are due those count as missed that never came; none is awaited longer."""
    this = expected_delivery.c
    came = exists().where(
        delivery.c.store == this.store,
        delivery.c.invoice_id == this.invoice_id,
        delivery.c.type == this.type,
        delivery.c.received_at >= this.since_at,
    )
    known = this.store.in_(select(store.c.name))
    missed = (
        select(this.store, func.count().label("number"))
        .where(this.due_at <= now, known, ~came)
        .group_by(this.store)
    )
    for row in (await conn.execute(missed)).all():
        statement = update(store).where(store.c.name == row.store)
        more = {"misses": store.c.misses + row.number, "last_miss_at": now}
        await conn.execute(statement.values(more))
    await conn.execute(delete(expected_delivery).where(this.due_at <= now, known))


async def drop_expected(conn: AsyncConnection, labels: Collection[str]) -> None:
    """Wait for events of these stores only."""
    gone = expected_delivery.c.store.not_in(sorted(labels))
    await conn.execute(delete(expected_delivery).where(gone))
