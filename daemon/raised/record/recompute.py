"""Decide anew whatever a batch of facts has touched, and keep, book and tell the difference.

The work grows with what was touched, never with what the record holds.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import blocks, coins, foundings, investments, movements, projects, txs
from raised.domain.angor.investment_snapshot import InvestmentSnapshot, changes_between
from raised.domain.angor.investment_state import InvestmentState, StoredTx, Tip
from raised.domain.bitcoin.tx import Txid
from raised.domain.ledger import Correction, correct, effects
from raised.record.changelog import append_changes
from raised.record.dirty import DirtySet, Policy
from raised.record.investments import keep, owners_of, stand
from raised.record.payments import mark_claimed_coins, recompute_payments
from raised.record.projects import DecidedProject, decide_projects
from raised.record.sums import count_investments, count_parties, keep_reached, keep_sums


async def recompute(conn: AsyncConnection, policy: Policy, dirty: DirtySet) -> None:
    """Bring everything that follows from the facts up to date."""
    tip = await blocks.tip_of(conn, policy.confirmations)
    await _touch_by_tip(conn, dirty, tip)
    await _spread(conn, dirty)
    correction = Correction()
    if dirty.projects or dirty.investments:
        correction = await _decide(conn, policy, tip, dirty)
    # A stage output takes its coin from a payment, so investments are decided before.
    money = await recompute_payments(conn, dirty)
    await append_changes(conn, dirty, correction.and_also(money), tip)


async def _touch_by_tip(conn: AsyncConnection, dirty: DirtySet, tip: Tip | None) -> None:
    """What became deep or shallow, matured or not, because the chain ends elsewhere."""
    before = dirty.tip_before
    if tip is None or tip == before:
        return
    old_height = before.height if before is not None else tip.height - 1
    low, high = sorted((old_height, tip.height))
    depth = tip.confirmations - 1
    if low < high:
        dirty.txids |= await txs.txids_between(conn, low - depth + 1, high - depth)
    if tip.median_time is None:
        return
    old = before.median_time if before is not None and before.median_time is not None else -1
    if old < tip.median_time:
        matured = await investments.penalties_between(conn, "in_penalty", old, tip.median_time)
        dirty.investments |= matured
    elif old > tip.median_time:
        locked = await investments.penalties_between(conn, "penalty_matured", tip.median_time, old)
        dirty.investments |= locked


async def _spread(conn: AsyncConnection, dirty: DirtySet) -> None:
    """From transactions to the projects and investments for which they matter."""
    if not dirty.txids:
        return
    founded = await foundings.founding_txids(conn, dirty.txids)
    paid = await coins.projects_paid_by(conn, dirty.txids)
    dirty.projects |= set(founded.values())
    dirty.investments |= paid.keys()
    dirty.investments |= await coins.investments_spent_by(conn, dirty.txids)


async def _decide(
    conn: AsyncConnection, policy: Policy, tip: Tip | None, dirty: DirtySet
) -> Correction:
    """Projects first, then the investments measured against them, then the ledger."""
    held = await txs.stored_txs(conn, dirty.investments)
    owners = await owners_of(conn, held)
    decided: dict[str, DecidedProject] = {}
    due = dirty.projects | set(owners.values())
    while due:
        found = await decide_projects(conn, sorted(due), policy, tip, dirty)
        decided |= found
        moved = await coins.payments_to(conn, [key for key, one in found.items() if one.is_new])
        more = await txs.stored_txs(conn, moved - held.keys())
        held |= more
        owners |= await owners_of(conn, more)
        due = set(owners.values()) - decided.keys()
    correction = Correction()
    if tip is not None or held:
        here = tip or Tip(0, "", policy.confirmations)
        correction = await _decide_investments(conn, held, owners, decided, here, dirty)
    renewed = {key for key, one in decided.items() if one.is_new}
    await keep_reached(conn, effects(correction), renewed)
    await projects.advance_next_stages(conn, dirty.at, sorted(decided))
    return correction


async def _decide_investments(
    conn: AsyncConnection,
    held: Mapping[Txid, StoredTx],
    owners: Mapping[Txid, str],
    decided: Mapping[str, DecidedProject],
    tip: Tip,
    dirty: DirtySet,
) -> Correction:
    bases = {txid: decided[owner].basis for txid, owner in owners.items()}
    investment_states = await stand(conn, held, bases, tip)
    shown = await investments.investment_snapshots(conn, held)
    parties = _parties(shown.values()) | _parties(investment_states.values())
    rich_before = await investments.parties_with_money(conn, parties)
    await investments.drop_investments(conn, shown.keys() - investment_states.keys())
    before, snapshots = await keep(conn, investment_states, shown)
    await mark_claimed_coins(conn, before, snapshots, dirty)
    rich_after = await investments.parties_with_money(conn, parties)
    for txid in sorted(snapshots, key=lambda one: _order(snapshots[one])):
        for change in changes_between(before.get(txid), snapshots[txid]):
            dirty.tell(change)
    due = [row for one in investment_states.values() for row in one.rows]
    anew = frozenset(key for key, one in decided.items() if one.anew)
    correction = correct(await movements.booked_rows(conn, held), due, anew)
    tallies = count_investments(before.values(), snapshots.values())
    count_parties(tallies, rich_before, rich_after)
    await keep_sums(conn, effects(correction), tallies)
    return correction


def _parties(
    found: Iterable[InvestmentSnapshot] | Iterable[InvestmentState],
) -> set[investments.Party]:
    return {
        (one.project_id, one.investor_key)
        for one in found
        if one.status == "confirmed" and one.investor_key is not None
    }


def _order(snapshot: InvestmentSnapshot) -> tuple[bool, int, str]:
    return (snapshot.height is None, snapshot.height or 0, snapshot.txid)
