"""Applies what stores answered of refunds, and the results of their webhook deliveries."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import deliveries, payouts
from raised.domain.btcpay.invoice import Payout
from raised.domain.observation import DeliveriesDone, RefundsSeen
from raised.record.dirty_set import DirtySet


async def apply_refunds(conn: AsyncConnection, seen: RefundsSeen, dirty: DirtySet) -> None:
    """Store pull payments and payouts; those that are new or different are recomputed."""
    pulls = {pull.id: pull for pull in seen.pull_payments}
    stored = await payouts.pull_payments_among(conn, seen.store, pulls)
    # New, or renamed: the name may be all that links a pull payment to its invoice.
    renamed = [
        pull for key, pull in pulls.items() if key not in stored or stored[key].name != pull.name
    ]
    await payouts.put_pull_payments(conn, seen.store, renamed)
    await payouts.link_refunds_by_name(conn, seen.store, pull_ids=[pull.id for pull in renamed])
    known = await payouts.payouts_of(conn, seen.store, [payout.id for payout in seen.payouts])
    answered = {
        payout.id: _never_ahead(payout, known.get(payout.id), seen.at) for payout in seen.payouts
    }
    changed = [payout for key, payout in answered.items() if known.get(key) != payout]
    await payouts.put_payouts(conn, seen.store, changed, seen.at)
    due = {payout.id for payout in changed}
    due |= await payouts.payouts_by_pull(conn, seen.store, [pull.id for pull in renamed])
    dirty.payouts |= {(seen.store, payout_id) for payout_id in due}


def _never_ahead(payout: Payout, known: Payout | None, at: int) -> Payout:
    """The payout, dated no later than we first saw it: its server may date hours ahead."""
    return replace(payout, at=min(payout.at, at if known is None else known.at))


async def apply_deliveries(conn: AsyncConnection, done: DeliveriesDone, dirty: DirtySet) -> None:
    """Store the results of deliveries; a signed event proves which invoice a refund is of."""
    await deliveries.put_results(conn, done.results, done.at)
    if done.refunds:
        await payouts.put_refund_invoices(conn, done.store, done.refunds)
        due = await payouts.payouts_by_pull(conn, done.store, done.refunds)
        dirty.payouts |= {(done.store, payout_id) for payout_id in due}
