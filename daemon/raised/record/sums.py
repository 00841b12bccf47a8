"""The sums and counts that follow from the ledger and from the states of investments."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import investments, movements, projects
from raised.domain.angor.investment_snapshot import InvestmentSnapshot
from raised.domain.angor.project_state import first_reaching, target_reached
from raised.domain.ledger import MSATS_PER_SAT, RETURNING_KINDS, Effect

Deltas = defaultdict[str, defaultdict[str, int]]  # by project, by column


def count_investments(
    before: Iterable[InvestmentSnapshot], after: Iterable[InvestmentSnapshot]
) -> Deltas:
    """How the counts of projects change with the states of these investments."""
    deltas: Deltas = defaultdict(lambda: defaultdict(int))
    for sign, snapshots in ((-1, before), (1, after)):
        for snapshot in snapshots:
            counts = deltas[snapshot.project_id]
            counts["investments"] += sign * snapshot.is_confirmed
            counts["rejected_investments"] += sign * (snapshot.status == "rejected")
            counts["unconfirmed_sats"] += sign * snapshot.unconfirmed_sats
    return deltas


def count_investors(
    deltas: Deltas, before: Iterable[investments.Party], after: Iterable[investments.Party]
) -> None:
    """Add how the numbers of investors change."""
    for sign, parties in ((-1, before), (1, after)):
        for project_id, _ in parties:
            deltas[project_id]["investors"] += sign


async def update_totals(conn: AsyncConnection, effects: Sequence[Effect], deltas: Deltas) -> None:
    """Let the sums follow the ledger: by hour, by project, and what each investment returned."""
    returned: defaultdict[str, int] = defaultdict(int)
    for effect in effects:
        sats = effect.amount_msats // MSATS_PER_SAT
        deltas[effect.owner][projects.SUM_COLUMNS[effect.row.kind]] += sats
        if effect.row.kind in RETURNING_KINDS and effect.row.investment_txid is not None:
            returned[effect.row.investment_txid] += sats
    await projects.add_to_totals(conn, deltas)
    await investments.add_to_returned(conn, returned)
    await movements.add_to_hour_totals(conn, effects)


async def update_reached_at(
    conn: AsyncConnection, effects: Sequence[Effect], changed: Collection[str]
) -> None:
    """Let `reached_at` follow: when the sum, in the order of time, reached the target.

    `changed` are projects whose terms or founding are others than before.
    """
    earliest = _earliest_effects(effects)
    progress = await projects.funding_progress(conn, {*earliest, *changed})
    for project_id, (target_sats, raised_sats, reached_at) in progress.items():
        # What came after the target was reached does not move that time.
        later = reached_at is not None and earliest.get(project_id, reached_at) >= reached_at
        if later and project_id not in changed:
            continue
        wanted = target_reached(target_sats)
        reached = None
        if wanted is not None and raised_sats >= wanted:
            reached = first_reaching(wanted, await projects.confirmed_amounts(conn, project_id))
        if reached != reached_at:
            await projects.put_reached_at(conn, project_id, reached)


def _earliest_effects(effects: Sequence[Effect]) -> dict[str, int]:
    """The time of the first investment booked of each project; -1 where one is reversed."""
    earliest: dict[str, int] = {}
    for effect in effects:
        if effect.row.kind == "investment":
            at = -1 if effect.sign < 0 else effect.row.at
            earliest[effect.owner] = min(at, earliest.get(effect.owner, at))
    return earliest
