"""The numbers of the summary. Totals come from the projects' own, which the writer keeps."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import investment, meta, project

PROJECT_STATUSES = ("announced", "committed", "confirmed", "rejected", "event_missing")
# The rest is known by a founding transaction alone that may still vanish.
_SHOWN = project.c.status.in_(PROJECT_STATUSES)


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


async def project_counts(conn: AsyncConnection) -> dict[str, int]:
    """How many projects there are in each status."""
    statement = select(project.c.status, func.count()).where(_SHOWN).group_by(project.c.status)
    counts = dict.fromkeys(PROJECT_STATUSES, 0)
    for status, number in await conn.execute(statement):
        counts[status] = number
    return counts


async def angor_totals(conn: AsyncConnection) -> AngorTotals:
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
    row = (await conn.execute(sums.where(_SHOWN))).one()
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


async def count_investors(conn: AsyncConnection) -> int:
    """Distinct investor keys of confirmed investments."""
    statement = select(func.count(investment.c.investor_key.distinct())).where(
        investment.c.status == "confirmed"
    )
    return int(await conn.scalar(statement) or 0)


async def median_contribution(conn: AsyncConnection) -> int:
    """The middle amount of confirmed investments, of two the floored mean; 0 without any."""
    confirmed = investment.c.status == "confirmed"
    number = int(await conn.scalar(select(func.count()).where(confirmed)) or 0)
    if number == 0:
        return 0
    statement = (
        select(investment.c.amount_sats)
        .where(confirmed)
        .order_by(investment.c.amount_sats)
        .offset((number - 1) // 2)
        .limit(2 - number % 2)
    )
    middle = [int(amount) for amount in await conn.scalars(statement)]
    return sum(middle) // len(middle)
