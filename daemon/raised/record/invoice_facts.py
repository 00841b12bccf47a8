"""What stores say of invoices: kept as the newest answer shows them, whoever asked for it.

Which payments count is decided afterwards, from the coins they name and all who claim them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import campaigns, cursors, deliveries, invoices, payouts
from raised.db.facts.deliveries import Expected
from raised.domain.btcpay.invoice import Invoice, InvoiceStatus
from raised.domain.btcpay.invoice_snapshot import (
    INVOICE_CHANGES,
    SLACK_SECONDS,
    InvoiceSnapshot,
    PaymentKey,
    PaymentSnapshot,
    PublishedState,
    StoredInvoice,
    coins_of,
    events_due,
    invoice_changes,
    invoice_snapshot,
    payment_snapshots,
    subject_of,
    with_settled_at,
)
from raised.domain.campaign import Campaign, membership
from raised.domain.change import Change
from raised.domain.observation import InvoicesGone, InvoicesSeen, SweepDone, SweepReached
from raised.record.campaign_facts import move_invoices
from raised.record.dirty import DirtySet

_CLOCK_SLACK_SECONDS = 900


@dataclass(frozen=True, slots=True)
class _Applied:
    """An invoice before and after an answer."""

    held: StoredInvoice | None
    snapshot: InvoiceSnapshot
    payments: Mapping[PaymentKey, PaymentSnapshot]

    @property
    def old(self) -> InvoiceSnapshot | None:
        return None if self.held is None else self.held.snapshot

    @property
    def before(self) -> Mapping[PaymentKey, PaymentSnapshot]:
        return {} if self.held is None else self.held.payments

    @property
    def changed(self) -> list[PaymentSnapshot]:
        """The payments that are new or different."""
        return [one for key, one in self.payments.items() if self.before.get(key) != one]

    @property
    def is_same(self) -> bool:
        return self.old == self.snapshot and not self.changed


async def apply_invoices(conn: AsyncConnection, seen: InvoicesSeen, dirty: DirtySet) -> None:
    """Keep invoices as an answer shows them, unless a later request was answered already."""
    offered = {one.id: one for one in seen.invoices}
    held = await invoices.stored_invoices(conn, seen.store, offered)
    due = {key: one for key, one in offered.items() if not _is_older(seen, held.get(key))}
    applied = await _applied(conn, seen, due, held)
    different = [one for one in applied if not one.is_same]
    await _keep(conn, seen, different, dirty)
    ids = [one.snapshot.id for one in applied if one.held is not None]
    await invoices.renew_invoices(conn, seen.store, ids, seen.asked_at, seen.at)
    if seen.origin != "delivery" and different:
        await _expect(conn, seen, different)


def _is_older(seen: InvoicesSeen, held: StoredInvoice | None) -> bool:
    """Whether what is held was asked for later; far in times to come, it was by a clock that has
    been set right since.
    """
    if held is None:
        return False
    return seen.asked_at < held.asked_at <= seen.at + _CLOCK_SLACK_SECONDS


async def _applied(
    conn: AsyncConnection,
    seen: InvoicesSeen,
    due: Mapping[str, Invoice],
    held: Mapping[str, StoredInvoice],
) -> list[_Applied]:
    configured = await campaigns.read_campaigns(conn)
    settling = [one.id for one in due.values() if _may_settle(one, held.get(one.id), seen)]
    told = await deliveries.settled_by_delivery(conn, seen.store, settling)
    return [
        _apply(one, seen, held.get(one.id), configured, told.get(one.id, PublishedState()))
        for one in due.values()
    ]


def _may_settle(one: Invoice, held: StoredInvoice | None, seen: InvoicesSeen) -> bool:
    """Whether an event may tell when something of it settled: a look at the inbox is worth it."""
    if held is None or seen.origin == "delivery":
        return one.status == "Settled" or bool(one.payments)
    if one.status == "Settled" and held.snapshot.status != "Settled":
        return True
    known = held.payments
    return any(
        payment.status == "Settled"
        and (
            (payment.method, payment.id) not in known
            or known[payment.method, payment.id].status != "Settled"
        )
        for payment in one.payments or ()
    )


def _apply(
    one: Invoice,
    seen: InvoicesSeen,
    held: StoredInvoice | None,
    configured: tuple[Campaign, ...],
    told: PublishedState,
) -> _Applied:
    old = None if held is None else held.snapshot
    apps = seen.apps.get(one.id, frozenset() if old is None else old.apps)
    belongs = membership(seen.store, one.metadata, apps, configured)
    plain = invoice_snapshot(one, seen.store, apps, belongs, old)
    open_at = None if held is None or held.snapshot.status == "Settled" else held.asked_at
    snapshot = with_settled_at(plain, told, seen.at, open_at)
    before = {} if held is None else held.payments
    return _Applied(held, snapshot, payment_snapshots(one, before, told, seen.at))


async def _keep(
    conn: AsyncConnection, seen: InvoicesSeen, different: list[_Applied], dirty: DirtySet
) -> None:
    new = [one.snapshot for one in different if one.held is None]
    known = [one for one in different if one.held is not None]
    await invoices.add_invoices(conn, new, seen.asked_at, seen.at)
    moved = {
        one.snapshot.key: (one.old.belongs, one.snapshot.belongs)
        for one in known
        if one.old is not None and one.old.belongs != one.snapshot.belongs
    }
    await move_invoices(conn, moved)
    await invoices.put_invoices(conn, [one.snapshot for one in known if one.old != one.snapshot])
    changed = [(one.snapshot.key, payment) for one in different for payment in one.changed]
    await invoices.put_payments(conn, changed, seen.at)
    dirty.coins |= coins_of([payment for _, payment in changed])
    for one in different:
        # A payment may become one in another coin.
        dirty.coins |= coins_of([one.before[key] for key in one.before.keys() & one.payments])
        for change in invoice_changes(one.old, one.snapshot, one.before, one.payments):
            dirty.tell(change)
    await _adopt_refunds(conn, seen.store, [snapshot.id for snapshot in new], dirty)


async def _adopt_refunds(
    conn: AsyncConnection, store: str, new: list[str], dirty: DirtySet
) -> None:
    """What was refunded before we knew whose money it was."""
    if new:
        await payouts.link_by_name(conn, store, invoice_ids=new)
        pulls = await payouts.pulls_of_invoices(conn, store, new)
        found = await payouts.payouts_by_pull(conn, store, pulls)
        dirty.payouts |= {(store, one) for one in found}


async def _expect(conn: AsyncConnection, seen: InvoicesSeen, different: list[_Applied]) -> None:
    """An event should have told what this pull found first, once the store is known in full and
    was to send events when it happened.
    """
    swept = await cursors.cursor_of(conn, cursors.STORE, seen.store)
    events = await cursors.cursor_of(conn, cursors.STORE_EVENTS, seen.store)
    if events is None or swept is None or swept[1] is None:
        return
    expected: list[Expected] = []
    for one in different:
        since = one.snapshot.created_at if one.held is None else one.held.seen_at
        if since >= events[0]:
            due = events_due(one.old, one.snapshot, one.before, one.payments)
            expected += [Expected(one.snapshot.id, kind, since - SLACK_SECONDS) for kind in due]
    await deliveries.expect_deliveries(conn, seen.store, expected, seen.at)


async def apply_gone(conn: AsyncConnection, gone: InvoicesGone, dirty: DirtySet) -> None:
    """The server does not know these any more; what they brought stays."""
    found = await invoices.set_missing(conn, gone.store, gone.ids)
    _tell_missing(gone.store, found, dirty)


async def apply_reached(conn: AsyncConnection, reached: SweepReached) -> None:
    """Remember how far a full sweep is, so that another process can go on with it."""
    await cursors.set_cursor(conn, cursors.FULL_SWEEP, reached.store, reached.end, reached.began_at)


async def apply_sweep(conn: AsyncConnection, done: SweepDone, dirty: DirtySet) -> None:
    """After a full sweep what it should have shown and did not is missing upstream."""
    if done.sweep != "full":
        known = await cursors.cursor_of(conn, cursors.STORE, done.store)
        full_at = None if known is None else known[1]
        await cursors.set_cursor(conn, cursors.STORE, done.store, done.began_at, full_at)
        return
    unseen = await invoices.unseen_between(conn, done.store, done.since, done.began_at)
    found = await invoices.set_missing(conn, done.store, unseen)
    _tell_missing(done.store, found, dirty)
    await cursors.set_cursor(conn, cursors.STORE, done.store, done.began_at, done.began_at)
    await cursors.drop_cursor(conn, cursors.FULL_SWEEP, done.store)


def _tell_missing(store: str, found: Mapping[str, InvoiceStatus], dirty: DirtySet) -> None:
    for invoice_id, status in found.items():
        subject = subject_of((store, invoice_id))
        dirty.tell(Change(INVOICE_CHANGES[status], "btcpay", subject, reference=subject))
