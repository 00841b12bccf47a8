"""Webhook deliveries: their results, what they say of settlement, and those that never came."""

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
    """Store results of deliveries; one that was acted on before keeps its result."""
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
    """When webhooks last reported that these invoices, or payments of them, are settled."""
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
    """Store that these events are expected; a date that is set already is not put off."""
    rows = [
        {
            "store": label,
            "invoice_id": event.invoice_id,
            "type": event.type,
            "since_at": event.since_at,
            "due_at": at + _PATIENCE_SECONDS,
        }
        for event in expected
    ]
    await add(conn, expected_delivery, rows)


async def count_missed_deliveries(conn: AsyncConnection, now: int) -> None:
    """Count the expected events that are due and never came, and expect none of them any longer."""
    awaited = expected_delivery.c
    came = exists().where(
        delivery.c.store == awaited.store,
        delivery.c.invoice_id == awaited.invoice_id,
        delivery.c.type == awaited.type,
        delivery.c.received_at >= awaited.since_at,
    )
    known = awaited.store.in_(select(store.c.name))
    missed = (
        select(awaited.store, func.count().label("number"))
        .where(awaited.due_at <= now, known, ~came)
        .group_by(awaited.store)
    )
    for row in (await conn.execute(missed)).all():
        statement = update(store).where(store.c.name == row.store)
        more = {"misses": store.c.misses + row.number, "last_miss_at": now}
        await conn.execute(statement.values(more))
    await conn.execute(delete(expected_delivery).where(awaited.due_at <= now, known))


async def drop_expected(conn: AsyncConnection, labels: Collection[str]) -> None:
    """Drop the expected events of all other stores."""
    others = expected_delivery.c.store.not_in(sorted(labels))
    await conn.execute(delete(expected_delivery).where(others))
