"""What `raised db check` asks of BTCPay's part: does the ledger hold each coin that counts, once?

Asked of the tables in words of their own, not by the rules that the writer follows.
"""

from collections import defaultdict

from sqlalchemy import ColumnElement, Text, and_, case, cast, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.audit.difference import Difference, active, compare, numbered
from raised.db.facts.campaigns import memberships, read_campaigns
from raised.db.schema import (
    investment,
    invoice,
    invoice_payment,
    movement,
    payout,
    pull_payment,
    stage_output,
)
from raised.domain.campaign import membership


async def invoice_differences(conn: AsyncConnection) -> list[Difference]:
    """Everything about invoices, payments and refunds that contradicts the facts or the ledger."""
    return [
        *await _counted_twice(conn),
        *await _baseless(conn),
        *await _left_out(conn),
        *await _received(conn),
        *await _pending(conn),
        *await _refunds(conn),
        *await _memberships(conn),
    ]


def _staged(reference: ColumnElement[str], *statuses: str) -> ColumnElement[bool]:
    """Whether this coin is a stage output of an investment in one of these statuses."""
    output = stage_output.c
    return exists().where(
        output.txid == func.substr(reference, 1, 64),
        output.txid + ":" + cast(output.vout, Text) == reference,
        investment.c.txid == output.txid,
        investment.c.status.in_(statuses),
    )


async def _counted_twice(conn: AsyncConnection) -> list[Difference]:
    """No coin is two payments, nor a payment and a stage output; no payout is two refunds."""
    columns = movement.c
    doubled = (
        select(columns.kind, columns.reference, func.count().label("number"))
        .where(active(), columns.kind.in_(("payment", "refund")))
        .group_by(columns.kind, columns.reference)
        .having(func.count() > 1)
    )
    found = [
        Difference(f"{row.kind}s", row.reference, row.number, 1)
        for row in await conn.execute(doubled)
    ]
    staged = select(columns.id, columns.reference).where(
        active(), columns.kind == "payment", _staged(columns.reference, "confirmed")
    )
    return found + [
        Difference("payment", str(row.id), row.reference, "no stage output")
        for row in await conn.execute(staged)
    ]


async def _baseless(conn: AsyncConnection) -> list[Difference]:
    """Each payment row stands on a settled payment, with its amount and time."""
    columns, paid = movement.c, invoice_payment.c
    named = and_(
        paid.store == columns.store,
        paid.invoice_id == columns.invoice_id,
        paid.id == columns.reference,
    )
    # Apart from the join: SQLite would look for settled ones, and find all of a store each time.
    same = and_(
        paid.status == "Settled",
        paid.value_msats == columns.amount_msats,
        paid.received_at == columns.at,
    )
    statement = (
        select(columns.id, columns.reference)
        .select_from(movement.outerjoin(invoice_payment, named))
        .where(active(), columns.kind == "payment")
        .group_by(columns.id, columns.reference)
        .having(func.max(case((same, 1), else_=0)) == 0)
    )
    return [
        Difference("payment", str(row.id), row.reference, "stands on a settled payment")
        for row in await conn.execute(statement)
    ]


async def _left_out(conn: AsyncConnection) -> list[Difference]:
    """Each settled payment in bitcoin is booked, by whomever, or a stage output."""
    columns, paid = movement.c, invoice_payment.c
    booked = exists().where(active(), columns.kind == "payment", columns.reference == paid.id)
    statement = (
        select(paid.id)
        .where(paid.status == "Settled", paid.value_msats > 0)
        .where(~booked, ~_staged(paid.id, "confirmed"))
        .distinct()
    )
    return [Difference("payments", row.id, 0, 1) for row in await conn.execute(statement)]


async def _received(conn: AsyncConnection) -> list[Difference]:
    """What invoices are shown to have received, and since when, is what is booked."""
    columns, shown = movement.c, invoice.c
    found: list[Difference] = []
    for what, kept, computed in (
        ("counted_msats", shown.counted_msats, func.sum(columns.amount_msats)),
        ("first_counted_at", func.coalesce(shown.first_counted_at, 0), func.min(columns.at)),
    ):
        of_rows = (
            select(columns.store, columns.invoice_id, computed)
            .where(active(), columns.kind == "payment")
            .group_by(columns.store, columns.invoice_id)
        )
        of_invoices = select(shown.store, shown.id, kept).where(kept != 0)
        found += compare(
            f"invoice.{what}", await numbered(conn, of_invoices), await numbered(conn, of_rows)
        )
    return found


async def _pending(conn: AsyncConnection) -> list[Difference]:
    """A coin that waits is pending for one of those that wait for it, if nobody has it."""
    columns, paid = movement.c, invoice_payment.c
    booked = exists().where(active(), columns.kind == "payment", columns.reference == paid.id)
    waiting = (
        select(invoice_payment)
        .where(paid.status == "Processing", paid.value_msats > 0, ~booked)
        .where(~_staged(paid.id, "unconfirmed", "confirmed"))
    )
    first: dict[str, tuple[object, ...]] = {}
    for row in await conn.execute(waiting):
        claim = (row.received_at, row.store, row.invoice_id, row.method, row.value_msats)
        first[row.id] = min(claim, first.get(row.id, claim))
    computed: defaultdict[tuple[object, object], int] = defaultdict(int)
    for _, store, invoice_id, _, value_msats in first.values():
        assert isinstance(value_msats, int), "the column holds numbers"
        computed[store, invoice_id] += value_msats
    shown = invoice.c
    kept = select(shown.store, shown.id, shown.pending_msats).where(shown.pending_msats != 0)
    return compare("invoice.pending_msats", await numbered(conn, kept), computed)


async def _refunds(conn: AsyncConnection) -> list[Difference]:
    """Refund rows are the completed payouts in bitcoin of pull payments that are an invoice's."""
    columns, pull, shown = payout.c, pull_payment.c, invoice.c
    owned = and_(pull.store == columns.store, pull.id == columns.pull_payment_id)
    held = and_(shown.store == columns.store, shown.id == pull.invoice_id)
    due = (
        select(columns.store, pull.invoice_id, columns.id, columns.value_msats)
        .select_from(payout.join(pull_payment, owned).join(invoice, held))
        .where(columns.state == "Completed", columns.value_msats > 0)
    )
    row = movement.c
    booked = select(row.store, row.invoice_id, row.reference, row.amount_msats).where(
        active(), row.kind == "refund"
    )
    rows, wanted = await numbered(conn, booked), await numbered(conn, due)
    # A store listed under two addresses shows a payout twice; either row will do.
    refunded = {payout_id for _, _, payout_id in rows}
    wanted = {key: msats for key, msats in wanted.items() if key in rows or key[2] not in refunded}
    return compare("refund", rows, wanted)


async def _memberships(conn: AsyncConnection) -> list[Difference]:
    """Each invoice belongs where the campaigns' rules put it."""
    configured = await read_campaigns(conn)
    return [
        Difference("invoice.campaign", "/".join(key), kept.campaign, right.campaign)
        async for key, metadata, apps, kept in memberships(conn)
        if kept != (right := membership(key[0], metadata, apps, configured))
    ]
