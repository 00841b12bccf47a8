"""Recomputes what depends on the facts of a batch: states, sums, ledger rows and changes.

The work grows with what the batch has changed, never with the size of the record.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import blocks, coins, foundings, investments, movements, projects, txs
from raised.domain.angor.investment_snapshot import InvestmentSnapshot, changes_between
from raised.domain.angor.investment_state import InvestmentState, StoredTx, Tip
from raised.domain.bitcoin.tx import Txid
from raised.domain.ledger import Correction, correct, effects
from raised.record import changelog
from raised.record.dirty_set import DirtySet, Policy
from raised.record.investments import (
    evaluate_investments,
    owners_of,
    put_investment_states,
)
from raised.record.payments import mark_claimed_coins, recompute_payments
from raised.record.projects import DecidedProject, recompute_projects
from raised.record.sums import count_investments, count_investors, update_reached_at, update_totals


async def recompute(conn: AsyncConnection, policy: Policy, dirty: DirtySet) -> None:
    """Bring everything that follows from the facts up to date."""
    tip = await blocks.tip_of(conn, policy.confirmations)
    await _mark_by_tip(conn, dirty, tip)
    await _propagate(conn, dirty)
    correction = Correction()
    if dirty.projects or dirty.investments:
        correction = await _decide(conn, policy, tip, dirty)
    # Investments first: a coin that is a stage output does not count as a payment, too.
    payments = await recompute_payments(conn, dirty)
    await changelog.append(conn, dirty, correction.merged_with(payments), tip)


async def _mark_by_tip(conn: AsyncConnection, dirty: DirtySet, tip: Tip | None) -> None:
    """Mark what has enough confirmations now or no longer, and penalties that mature or no longer
    do, because the chain has another tip.
    """
    before = dirty.tip_before
    if tip is None or tip == before:
        return
    old_height = before.height if before is not None else tip.height - 1
    low, high = sorted((old_height, tip.height))
    depth = tip.confirmations - 1
    if low < high:  # only these blocks cross the depth at which a transaction counts
        dirty.txids |= await txs.txids_between(conn, low - depth + 1, high - depth)
    if tip.median_time is None:
        return
    old = before.median_time if before is not None and before.median_time is not None else -1
    if old < tip.median_time:
        matured = await investments.penalties_maturing(conn, "in_penalty", old, tip.median_time)
        dirty.investments |= matured
    elif old > tip.median_time:
        locked = await investments.penalties_maturing(conn, "penalty_matured", tip.median_time, old)
        dirty.investments |= locked


async def _propagate(conn: AsyncConnection, dirty: DirtySet) -> None:
    """Mark the projects and investments that the marked transactions matter to."""
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
    stored = await txs.stored_txs(conn, dirty.investments)
    owners = await owners_of(conn, stored)
    decided: dict[str, DecidedProject] = {}
    due = dirty.projects | set(owners.values())
    while due:
        round_ = await recompute_projects(conn, sorted(due), policy, tip, dirty)
        decided |= round_
        # Whatever pays a project whose terms or founding changed is measured again, too.
        changed = [project_id for project_id, project in round_.items() if project.changed]
        paying = await coins.payments_to(conn, changed)
        more = await txs.stored_txs(conn, paying - stored.keys())
        stored |= more
        owners |= await owners_of(conn, more)
        due = set(owners.values()) - decided.keys()
    correction = Correction()
    if tip is not None or stored:
        # Before the first block nothing is confirmed, and height 0 confirms nothing.
        here = tip or Tip(0, "", policy.confirmations)
        correction = await _decide_investments(conn, stored, owners, decided, here, dirty)
    all_changed = {project_id for project_id, project in decided.items() if project.changed}
    await update_reached_at(conn, effects(correction), all_changed)
    await projects.update_next_stages(conn, dirty.at, sorted(decided))
    return correction


async def _decide_investments(
    conn: AsyncConnection,
    stored: Mapping[Txid, StoredTx],
    owners: Mapping[Txid, str],
    decided: Mapping[str, DecidedProject],
    tip: Tip,
    dirty: DirtySet,
) -> Correction:
    contexts = {txid: decided[owner].context for txid, owner in owners.items()}
    states = await evaluate_investments(conn, stored, contexts, tip)
    known = await investments.investment_snapshots(conn, stored)
    parties = _parties(known.values()) | _parties(states.values())
    parties_before = await investments.confirmed_parties(conn, parties)
    await investments.drop_investments(conn, known.keys() - states.keys())
    before, after = await put_investment_states(conn, states, known)
    await mark_claimed_coins(conn, before, after, dirty)
    parties_after = await investments.confirmed_parties(conn, parties)
    for txid in sorted(after, key=lambda txid: _order(after[txid])):
        for change in changes_between(before.get(txid), after[txid]):
            dirty.add_change(change)
    due = [row for state in states.values() for row in state.rows]
    refounded = frozenset(key for key, project in decided.items() if project.refounded)
    correction = correct(await movements.booked_rows(conn, stored), due, refounded)
    deltas = count_investments(before.values(), after.values())
    count_investors(deltas, parties_before, parties_after)
    await update_totals(conn, effects(correction), deltas)
    return correction


def _parties(
    investments_: Iterable[InvestmentSnapshot] | Iterable[InvestmentState],
) -> set[investments.Party]:
    return {
        (investment.project_id, investment.investor_key)
        for investment in investments_
        if investment.status == "confirmed" and investment.investor_key is not None
    }


def _order(snapshot: InvestmentSnapshot) -> tuple[bool, int, str]:
    """The order of the chain; what is unconfirmed comes last."""
    return (snapshot.height is None, snapshot.height or 0, snapshot.txid)
