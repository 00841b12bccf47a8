"""The numbers of the summary. Totals come from the projects' own, which the writer keeps.

`ids` are the projects that are asked for; None: all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.median import Amounts, middle_of
from raised.db.queries.sums import Scope
from raised.db.schema import investment, invoice, meta, project
from raised.domain.ledger import MSATS_PER_SAT

Ids = Sequence[str] | None

PROJECT_STATUSES = ("announced", "committed", "confirmed", "rejected", "event_missing")
# The rest is known by a founding transaction alone that may still vanish.
SHOWN_PROJECT = project.c.status.in_(PROJECT_STATUSES)


class ProjectCounts(msgspec.Struct, frozen=True):
    announced: int
    committed: int
    confirmed: int
    rejected: int
    event_missing: int


@dataclass(frozen=True, slots=True)
class AngorTotals:
    """Satoshis and counts over all projects."""

    raised: int
    returned: int
    claimed: int
    unknown: int
    in_penalty: int
    penalty_released: int
    unconfirmed: int
    investments: int
    rejected_investments: int

    @property
    def net(self) -> int:
        """What is still meant for the projects."""
        return self.raised - self.returned

    @property
    def locked(self) -> int:
        """What nobody has spent yet."""
        return self.net - self.claimed - self.unknown


async def read_network(conn: AsyncConnection) -> str:
    """The network that the record is bound to."""
    found = await conn.scalar(select(meta.c.value).where(meta.c.key == "network"))
    assert isinstance(found, str), "a record is bound to its network when it is made"
    return found


def _among(statement: Select[Any], column: ColumnElement[str], ids: Ids) -> Select[Any]:
    return statement if ids is None else statement.where(column.in_(ids))


async def project_counts(conn: AsyncConnection, ids: Ids = None) -> ProjectCounts:
    """How many projects there are in each status."""
    statement = select(project.c.status, func.count()).where(SHOWN_PROJECT)
    counts = dict.fromkeys(PROJECT_STATUSES, 0)
    grouped = _among(statement, project.c.id, ids).group_by(project.c.status)
    for status, number in await conn.execute(grouped):
        counts[status] = number
    return ProjectCounts(**counts)


async def angor_totals(conn: AsyncConnection, ids: Ids = None) -> AngorTotals:
    """The sums of the projects' totals."""
    columns = (
        "raised_sats",
        "recovery_sats",
        "unfunded_release_sats",
        "penalty_free_recovery_sats",
        "end_of_project_sats",
        "claimed_sats",
        "unknown_sats",
        "penalty_released_sats",
        "unconfirmed_sats",
        "investments",
        "rejected_investments",
    )
    sums = select(*(func.coalesce(func.sum(project.c[name]), 0).label(name) for name in columns))
    row = (await conn.execute(_among(sums.where(SHOWN_PROJECT), project.c.id, ids))).one()
    found = {name: int(row._mapping[name]) for name in columns}  # noqa: SLF001 - its public name
    return AngorTotals(
        raised=found["raised_sats"],
        returned=found["recovery_sats"]
        + found["unfunded_release_sats"]
        + found["penalty_free_recovery_sats"]
        + found["end_of_project_sats"],
        claimed=found["claimed_sats"],
        unknown=found["unknown_sats"],
        in_penalty=found["recovery_sats"] - found["penalty_released_sats"],
        penalty_released=found["penalty_released_sats"],
        unconfirmed=found["unconfirmed_sats"],
        investments=found["investments"],
        rejected_investments=found["rejected_investments"],
    )


async def count_investors(conn: AsyncConnection, ids: Ids = None) -> int:
    """Distinct investor keys of confirmed investments."""
    statement = select(func.count(investment.c.investor_key.distinct())).where(
        investment.c.status == "confirmed"
    )
    return int(await conn.scalar(_among(statement, investment.c.project_id, ids)) or 0)


async def median_contribution(conn: AsyncConnection, scope: Scope) -> int:
    """The middle of the contributions in satoshis, of two the floored mean; 0 without any."""
    given: list[Amounts] = []
    if scope.has_projects:
        confirmed = select(investment.c.amount_sats).where(investment.c.status == "confirmed")
        among = _among(confirmed, investment.c.project_id, scope.project_ids)
        given.append(Amounts(among, investment.c.amount_sats, MSATS_PER_SAT))
    if scope.has_invoices:
        paid = scope.of_invoices(select(invoice.c.counted_msats))
        given.append(Amounts(paid, invoice.c.counted_msats, least=1))
    middle = await middle_of(conn, given) if given else []
    return sum(middle) // max(len(middle), 1) // MSATS_PER_SAT
