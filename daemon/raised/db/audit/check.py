"""`raised db check`: does everything that is kept as a sum equal the sum of the movements?

Nothing is mended here: a difference is a fault of ours, and hiding it would hide the next.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, distinct, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.audit.check_invoices import invoice_differences
from raised.db.audit.difference import Difference, active, compare, numbered
from raised.db.facts.projects import SUM_COLUMNS
from raised.db.schema import counter, hour_total, investment, invoice, movement, project
from raised.domain.ledger import MSATS_PER_SAT, RETURNING_KINDS, REVERSAL

_HOUR_SECONDS: Final = 3600
_SPENDS: Final = tuple(
    kind for kind in SUM_COLUMNS if kind not in {"investment", "penalty_release"}
)


async def differences(conn: AsyncConnection) -> list[Difference]:
    """Everything in the record that contradicts its ledger; empty when all is well."""
    return [
        *await _file(conn),
        *await _hours(conn),
        *await _project_sums(conn),
        *await _project_counts(conn),
        *await _balances(conn),
        *await _returned(conn),
        *await _reversals(conn),
        *await _spends(conn),
        *await _confirmed(conn),
        *await _numbers(conn),
        *await invoice_differences(conn),
    ]


async def _file(conn: AsyncConnection) -> list[Difference]:
    """SQLite can be asked whether its pages and references are whole."""
    if conn.dialect.name != "sqlite":
        return []
    found = [
        Difference("integrity", "the file", row[0], "ok")
        for row in await conn.execute(text("PRAGMA quick_check"))
        if row[0] != "ok"
    ]
    broken = await conn.execute(text("PRAGMA foreign_key_check"))
    found += [Difference("reference", f"{row[0]} row {row[1]}", "broken", row[2]) for row in broken]
    return found


async def _hours(conn: AsyncConnection) -> list[Difference]:
    hour = (movement.c.at - movement.c.at % _HOUR_SECONDS).label("hour")
    owner = func.coalesce(movement.c.project_id, invoice.c.campaign, movement.c.store)
    paid = (invoice.c.store == movement.c.store) & (invoice.c.id == movement.c.invoice_id)
    rows = movement.outerjoin(invoice, paid)
    groups = (hour, movement.c.source, owner.label("owner"), movement.c.kind)
    found: list[Difference] = []
    for what, kept, computed in (
        ("amount_msats", hour_total.c.amount_msats, func.sum(movement.c.amount_msats)),
        ("rows", hour_total.c["rows"], func.count()),
    ):
        total = hour_total.c
        shown = select(total.hour, total.source, total.owner, total.kind, kept)
        summed = select(*groups, computed).select_from(rows).where(active()).group_by(*groups)
        found += compare(
            f"hour_total.{what}", await numbered(conn, shown), await numbered(conn, summed)
        )
    return found


async def _project_sums(conn: AsyncConnection) -> list[Difference]:
    found: list[Difference] = []
    for kind, column in SUM_COLUMNS.items():
        shown = select(project.c.id, project.c[column]).where(project.c[column] != 0)
        summed = (
            select(movement.c.project_id, func.sum(movement.c.amount_msats))
            .where(active(), movement.c.kind == kind, movement.c.project_id.is_not(None))
            .group_by(movement.c.project_id)
        )
        computed = await numbered(conn, summed, MSATS_PER_SAT)
        found += compare(f"project.{column}", await numbered(conn, shown), computed)
    return found


async def _project_counts(conn: AsyncConnection) -> list[Difference]:
    status = investment.c.status
    found: list[Difference] = []
    confirmed = case((status == "confirmed", investment.c.investor_key))
    waiting = case((status == "unconfirmed", investment.c.amount_sats), else_=0)
    counts: dict[str, ColumnElement[Any]] = {
        "investments": func.count(case((status == "confirmed", 1))),
        "investors": func.count(distinct(confirmed)),
        "rejected_investments": func.count(case((status == "rejected", 1))),
        "unconfirmed_sats": func.sum(waiting),
    }
    for column, count in counts.items():
        shown = select(project.c.id, project.c[column]).where(project.c[column] != 0)
        counted = (
            select(investment.c.project_id, count)
            .group_by(investment.c.project_id)
            .having(count != 0)
        )
        computed = await numbered(conn, counted)
        found += compare(f"project.{column}", await numbered(conn, shown), computed)
    return found


async def _balances(conn: AsyncConnection) -> list[Difference]:
    """What is locked or in penalty is what went in less what came out, and never less than none."""
    columns = project.c
    gone = (
        columns.claimed_sats
        + columns.recovery_sats
        + columns.unfunded_release_sats
        + columns.penalty_free_recovery_sats
        + columns.end_of_project_sats
        + columns.unknown_sats
    )
    found: list[Difference] = []
    for what, left in (
        ("project.locked_sats", columns.raised_sats - gone),
        ("project.in_penalty_sats", columns.recovery_sats - columns.penalty_released_sats),
    ):
        short = await conn.execute(select(columns.id, left.label("remains")).where(left < 0))
        found += [Difference(what, row.id, row.remains, "0 or more") for row in short]
    return found


async def _returned(conn: AsyncConnection) -> list[Difference]:
    shown = select(investment.c.txid, investment.c.returned_sats)
    summed = (
        select(movement.c.investment_txid, func.sum(movement.c.amount_msats))
        .where(active(), movement.c.kind.in_(sorted(RETURNING_KINDS)))
        .where(movement.c.investment_txid.is_not(None))
        .group_by(movement.c.investment_txid)
    )
    computed = await numbered(conn, summed, MSATS_PER_SAT)
    kept = await numbered(conn, shown.where(investment.c.returned_sats != 0))
    return compare("investment.returned_sats", kept, computed)


async def _reversals(conn: AsyncConnection) -> list[Difference]:
    """A reversal names one row, takes its amount, time and height, and is named by it."""
    undone = movement.alias("undone")
    differs = or_(
        undone.c.id.is_(None),
        undone.c.kind == REVERSAL,
        undone.c.reversed_by.is_distinct_from(movement.c.id),
        undone.c.amount_msats != movement.c.amount_msats,
        undone.c.at != movement.c.at,
        undone.c.height.is_distinct_from(movement.c.height),
        undone.c.id > movement.c.id,
    )
    statement = (
        select(movement.c.id, movement.c.reverses)
        .outerjoin(undone, undone.c.id == movement.c.reverses)
        .where(movement.c.kind == REVERSAL, differs)
    )
    orphaned = (
        select(movement.c.id, movement.c.reversed_by)
        .outerjoin(undone, undone.c.id == movement.c.reversed_by)
        .where(movement.c.reversed_by.is_not(None))
        .where(undone.c.reverses.is_distinct_from(movement.c.id))
    )
    return [
        *(
            Difference("reversal", str(row[0]), row[1], "its row")
            for row in await conn.execute(statement)
        ),
        *(
            Difference("reversed_by", str(row[0]), row[1], "its reversal")
            for row in await conn.execute(orphaned)
        ),
    ]


async def _spends(conn: AsyncConnection) -> list[Difference]:
    """What left was there: each spend stands on an earlier row, for the same amount, and once."""
    ground = movement.alias("ground")
    stands = and_(
        ground.c.reference == movement.c.reference,
        ground.c.kind == "investment",
        ground.c.reversed_by.is_(None),
        ground.c.amount_msats == movement.c.amount_msats,
        ground.c.id < movement.c.id,
        ground.c.investment_txid == movement.c.investment_txid,
    )
    baseless = select(movement.c.id, movement.c.reference).where(
        active(), movement.c.kind.in_(_SPENDS), ~exists().where(stands)
    )
    went_in = and_(
        ground.c.kind == "recovery",
        ground.c.reversed_by.is_(None),
        ground.c.investment_txid == movement.c.investment_txid,
        ground.c.amount_msats == movement.c.amount_msats,
        ground.c.id < movement.c.id,
    )
    unrecovered = select(movement.c.id, movement.c.reference).where(
        active(), movement.c.kind == "penalty_release", ~exists().where(went_in)
    )
    twice = (
        select(movement.c.reference, func.count())
        .where(active(), movement.c.kind.in_(_SPENDS))
        .group_by(movement.c.reference)
        .having(func.count() > 1)
    )
    found = [
        Difference("movement", str(row[0]), row[1], "stands on an earlier row")
        for statement in (baseless, unrecovered)
        for row in await conn.execute(statement)
    ]
    return found + [
        Difference("spends", str(row[0]), row[1], 1) for row in await conn.execute(twice)
    ]


async def _confirmed(conn: AsyncConnection) -> list[Difference]:
    """The ledger holds all of each confirmed investment, and nothing of any other."""
    booked = (
        select(movement.c.investment_txid, func.sum(movement.c.amount_msats))
        .where(active(), movement.c.kind == "investment")
        .group_by(movement.c.investment_txid)
    )
    shown = select(investment.c.txid, investment.c.amount_sats).where(
        investment.c.status == "confirmed", investment.c.amount_sats != 0
    )
    computed = await numbered(conn, booked, MSATS_PER_SAT)
    return compare("investment.amount_sats", await numbered(conn, shown), computed)


async def _numbers(conn: AsyncConnection) -> list[Difference]:
    """No number was given out twice or ahead of its counter."""
    given = await conn.scalar(select(func.max(movement.c.id))) or 0
    last = await conn.scalar(select(counter.c.value).where(counter.c.name == "movement")) or 0
    doubled = select(movement.c.seq, func.count()).group_by(movement.c.seq).having(func.count() > 1)
    found = [Difference("seq", str(row[0]), row[1], 1) for row in await conn.execute(doubled)]
    if given > last:
        found.append(Difference("counter", "movement", last, given))
    return found


def report(found: Iterable[Difference]) -> str:
    """The differences, a line each."""
    return "\n".join(str(difference) for difference in found)
