"""What stores say of money that left, and what was made of their deliveries."""

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import deliveries, payouts
from raised.domain.observation import DeliveriesDone, RefundsSeen
from raised.record.dirty import DirtySet


async def apply_refunds(conn: AsyncConnection, seen: RefundsSeen, dirty: DirtySet) -> None:
    """Keep pull payments and payouts; what is new or different of them is decided anew."""
    offered = {one.id: one for one in seen.pull_payments}
    held = await payouts.pulls_among(conn, seen.store, offered)
    renamed = [one for key, one in offered.items() if key not in held or held[key].name != one.name]
    await payouts.see_pull_payments(conn, seen.store, renamed)
    await payouts.link_by_name(conn, seen.store, pull_ids=[one.id for one in renamed])
    paid = {one.id: one for one in seen.payouts}
    known = await payouts.payouts_of(conn, seen.store, paid)
    changed = [one for key, one in paid.items() if known.get(key) != one]
    await payouts.see_payouts(conn, seen.store, changed, seen.at)
    due = {one.id for one in changed}
    due |= await payouts.payouts_by_pull(conn, seen.store, [one.id for one in renamed])
    dirty.payouts |= {(seen.store, one) for one in due}


async def apply_deliveries(conn: AsyncConnection, done: DeliveriesDone, dirty: DirtySet) -> None:
    """Deliveries were acted on; signed ones among them may prove whose a refund is."""
    await deliveries.put_results(conn, done.results, done.at)
    if done.refunds:
        await payouts.prove_refunds(conn, done.store, done.refunds)
        due = await payouts.payouts_by_pull(conn, done.store, done.refunds)
        dirty.payouts |= {(done.store, one) for one in due}
