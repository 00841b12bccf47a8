"""The sums and counts that follow from the ledger and from how investments stand."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import investments, movements, projects
from raised.domain.angor.investment_snapshot import InvestmentSnapshot
from raised.domain.angor.project_state import first_reaching, target_reached
from raised.domain.ledger import MSATS_PER_SAT, RETURNING_KINDS, Effect

Tallies = defaultdict[str, defaultdict[str, int]]  # by project, by column


def count_investments(
    before: Iterable[InvestmentSnapshot], after: Iterable[InvestmentSnapshot]
) -> Tallies:
    """How the counts of projects move when these investments stand otherwise."""
    tallies: Tallies = defaultdict(lambda: defaultdict(int))
    for sign, snapshots in ((-1, before), (1, after)):
        for snapshot in snapshots:
            counts = tallies[snapshot.project_id]
            counts["investments"] += sign * snapshot.is_confirmed
            counts["rejected_investments"] += sign * (snapshot.status == "rejected")
            counts["unconfirmed_sats"] += sign * snapshot.unconfirmed_sats
    return tallies


def count_parties(
    tallies: Tallies, before: Iterable[investments.Party], after: Iterable[investments.Party]
) -> None:
    """Add how the numbers of investors move."""
    for sign, parties in ((-1, before), (1, after)):
        for project_id, _ in parties:
            tallies[project_id]["investors"] += sign


async def keep_sums(conn: AsyncConnection, effects: Sequence[Effect], tallies: Tallies) -> None:
    """Let the sums of Angor follow the ledger: by hour, by project, returned by investment."""
    returned: defaultdict[str, int] = defaultdict(int)
    for one in effects:
        sats = one.amount_msats // MSATS_PER_SAT
        tallies[one.owner][projects.SUMS[one.row.kind]] += sats
        if one.row.kind in RETURNING_KINDS and one.row.investment_txid is not None:
            returned[one.row.investment_txid] += sats
    await projects.add_to_tallies(conn, tallies)
    await investments.add_to_returned(conn, returned)
    await movements.add_to_hours(conn, effects)


async def keep_reached(
    conn: AsyncConnection, effects: Sequence[Effect], renewed: Collection[str]
) -> None:
    """Let `reached_at` follow: when the sum, in the order of time, came to the target."""
    earliest: dict[str, int] = {}
    for one in effects:
        if one.row.kind == "investment":
            at = -1 if one.sign < 0 else one.row.at
            earliest[one.owner] = min(at, earliest.get(one.owner, at))
    for key, goal in (await projects.goals_of(conn, {*earliest, *renewed})).items():
        target_sats, raised_sats, known = goal
        later = known is not None and earliest.get(key, known) >= known
        if later and key not in renewed:
            continue
        wanted = target_reached(target_sats)
        reached = None
        if wanted is not None and raised_sats >= wanted:
            reached = first_reaching(wanted, await projects.amounts_in_time(conn, key))
        if reached != known:
            await projects.put_reached(conn, key, reached)
