"""Decide anew whatever a batch of facts has touched, and keep, book and tell the difference.

The work grows with what was touched, never with what the record holds.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import blocks, coins, foundings, investments, movements, projects, txs
from raised.domain.angor.investment_snapshot import InvestmentFace, changes_between
from raised.domain.angor.investment_state import HeldTx, Standing, Tip
from raised.domain.bitcoin.tx import Txid
from raised.domain.ledger import Correction, correct, effects
from raised.record.changelog import tell
from raised.record.dirty import Policy, Touched
from raised.record.investments import keep, owners_of, stand
from raised.record.payments import settle_money, touch_coins
from raised.record.projects import DecidedProject, decide_projects
from raised.record.sums import count_faces, count_parties, keep_reached, keep_sums


async def settle(conn: AsyncConnection, policy: Policy, touched: Touched) -> None:
    """Bring everything that follows from the facts up to date."""
    tip = await blocks.tip_of(conn, policy.confirmations)
    await _touch_by_tip(conn, touched, tip)
    await _spread(conn, touched)
    correction = Correction()
    if touched.projects or touched.investments:
        correction = await _decide(conn, policy, tip, touched)
    # A stage output takes its coin from a payment, so investments are decided before.
    money = await settle_money(conn, touched)
    await tell(conn, touched, correction.and_also(money), tip)


async def _touch_by_tip(conn: AsyncConnection, touched: Touched, tip: Tip | None) -> None:
    """What became deep or shallow, matured or not, because the chain ends elsewhere."""
    before = touched.tip_before
    if tip is None or tip == before:
        return
    old_height = before.height if before is not None else tip.height - 1
    low, high = sorted((old_height, tip.height))
    depth = tip.confirmations - 1
    if low < high:
        touched.txids |= await txs.txids_between(conn, low - depth + 1, high - depth)
    if tip.median_time is None:
        return
    old = before.median_time if before is not None and before.median_time is not None else -1
    if old < tip.median_time:
        matured = await investments.penalties_between(conn, "in_penalty", old, tip.median_time)
        touched.investments |= matured
    elif old > tip.median_time:
        locked = await investments.penalties_between(conn, "penalty_matured", tip.median_time, old)
        touched.investments |= locked


async def _spread(conn: AsyncConnection, touched: Touched) -> None:
    """From transactions to the projects and investments for which they matter."""
    if not touched.txids:
        return
    founded = await foundings.founding_txids(conn, touched.txids)
    paid = await coins.projects_paid_by(conn, touched.txids)
    touched.projects |= set(founded.values())
    touched.investments |= paid.keys()
    touched.investments |= await coins.investments_spent_by(conn, touched.txids)


async def _decide(
    conn: AsyncConnection, policy: Policy, tip: Tip | None, touched: Touched
) -> Correction:
    """Projects first, then the investments measured against them, then the ledger."""
    held = await txs.held_txs(conn, touched.investments)
    owners = await owners_of(conn, held)
    decided: dict[str, DecidedProject] = {}
    due = touched.projects | set(owners.values())
    while due:
        found = await decide_projects(conn, sorted(due), policy, tip, touched)
        decided |= found
        moved = await coins.payments_to(conn, [key for key, one in found.items() if one.is_new])
        more = await txs.held_txs(conn, moved - held.keys())
        held |= more
        owners |= await owners_of(conn, more)
        due = set(owners.values()) - decided.keys()
    correction = Correction()
    if tip is not None or held:
        here = tip or Tip(0, "", policy.confirmations)
        correction = await _decide_investments(conn, held, owners, decided, here, touched)
    renewed = {key for key, one in decided.items() if one.is_new}
    await keep_reached(conn, effects(correction), renewed)
    await projects.advance_next_stages(conn, touched.at, sorted(decided))
    return correction


async def _decide_investments(
    conn: AsyncConnection,
    held: Mapping[Txid, HeldTx],
    owners: Mapping[Txid, str],
    decided: Mapping[str, DecidedProject],
    tip: Tip,
    touched: Touched,
) -> Correction:
    bases = {txid: decided[owner].basis for txid, owner in owners.items()}
    standings = await stand(conn, held, bases, tip)
    shown = await investments.investment_faces(conn, held)
    parties = _parties(shown.values()) | _parties(standings.values())
    rich_before = await investments.parties_with_money(conn, parties)
    await investments.drop_investments(conn, shown.keys() - standings.keys())
    before, faces = await keep(conn, standings, shown)
    await touch_coins(conn, before, faces, touched)
    rich_after = await investments.parties_with_money(conn, parties)
    for txid in sorted(faces, key=lambda one: _order(faces[one])):
        for change in changes_between(before.get(txid), faces[txid]):
            touched.tell(change)
    due = [row for one in standings.values() for row in one.rows]
    anew = frozenset(key for key, one in decided.items() if one.anew)
    correction = correct(await movements.booked_rows(conn, held), due, anew)
    tallies = count_faces(before.values(), faces.values())
    count_parties(tallies, rich_before, rich_after)
    await keep_sums(conn, effects(correction), tallies)
    return correction


def _parties(found: Iterable[InvestmentFace] | Iterable[Standing]) -> set[investments.Party]:
    return {
        (one.project_id, one.investor_key)
        for one in found
        if one.status == "confirmed" and one.investor_key is not None
    }


def _order(face: InvestmentFace) -> tuple[bool, int, str]:
    return (face.height is None, face.height or 0, face.txid)
