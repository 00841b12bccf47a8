"""Applies what stores answered of invoices: the newest answer is stored, whatever asked for it.

Which payments count is decided afterwards, from all claims of the coins they name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import campaigns, cursors, deliveries, invoices, payouts, sources
from raised.db.facts.deliveries import Expected
from raised.domain.btcpay.invoice import Invoice, InvoiceStatus
from raised.domain.btcpay.invoice_snapshot import (
    CLOCK_TOLERANCE_SECONDS,
    INVOICE_CHANGE_TYPES,
    EventTimes,
    InvoiceSnapshot,
    PaymentKey,
    PaymentSnapshot,
    StoredInvoice,
    bitcoin_references,
    expected_events,
    invoice_changes,
    invoice_snapshot,
    payment_snapshots,
    subject_of,
    with_settled_at,
)
from raised.domain.campaign import Campaign, membership
from raised.domain.change import Change
from raised.domain.observation import InvoicesGone, InvoicesSeen, StoreRead, SweepDone, SweepReached
from raised.record.campaign_facts import move_hour_totals
from raised.record.dirty_set import DirtySet

# An answer from further in the future than this was asked for while our clock was wrong.
_CLOCK_ERROR_SECONDS = 900


@dataclass(frozen=True, slots=True)
class _Applied:
    """An invoice before and after an answer."""

    stored: StoredInvoice | None
    snapshot: InvoiceSnapshot
    payments: Mapping[PaymentKey, PaymentSnapshot]

    @property
    def old(self) -> InvoiceSnapshot | None:
        return None if self.stored is None else self.stored.snapshot

    @property
    def before(self) -> Mapping[PaymentKey, PaymentSnapshot]:
        return {} if self.stored is None else self.stored.payments

    @property
    def changed(self) -> list[PaymentSnapshot]:
        """The payments that are new or different."""
        return [
            payment for key, payment in self.payments.items() if self.before.get(key) != payment
        ]

    @property
    def is_unchanged(self) -> bool:
        return self.old == self.snapshot and not self.changed


async def apply_invoices(conn: AsyncConnection, seen: InvoicesSeen, dirty: DirtySet) -> None:
    """Store invoices as an answer shows them, unless a later request was answered already."""
    answered = {invoice.id: invoice for invoice in seen.invoices}
    stored = await invoices.stored_invoices(conn, seen.store, answered)
    current = {
        key: invoice for key, invoice in answered.items() if not _is_older(seen, stored.get(key))
    }
    applied = await _applied(conn, seen, current, stored)
    changed = [entry for entry in applied if not entry.is_unchanged]
    await _store(conn, seen, changed, dirty)
    ids = [entry.snapshot.id for entry in applied if entry.stored is not None]
    await invoices.mark_seen(conn, seen.store, ids, seen.asked_at, seen.at)
    if seen.origin != "delivery" and changed:
        await _expect_events(conn, seen, changed)


def _is_older(seen: InvoicesSeen, stored: StoredInvoice | None) -> bool:
    """Whether what is stored was asked for later than this answer.

    A time far in the future does not count: our clock was wrong then and has been set right.
    """
    if stored is None:
        return False
    return seen.asked_at < stored.asked_at <= seen.at + _CLOCK_ERROR_SECONDS


async def _applied(
    conn: AsyncConnection,
    seen: InvoicesSeen,
    current: Mapping[str, Invoice],
    stored: Mapping[str, StoredInvoice],
) -> list[_Applied]:
    configured = await campaigns.read_campaigns(conn)
    settling = [
        invoice.id
        for invoice in current.values()
        if _may_settle(invoice, stored.get(invoice.id), seen)
    ]
    events = await deliveries.settled_by_delivery(conn, seen.store, settling)
    return [
        _apply(invoice, seen, stored.get(key), configured, events.get(key, EventTimes()))
        for key, invoice in current.items()
    ]


def _may_settle(invoice: Invoice, stored: StoredInvoice | None, seen: InvoicesSeen) -> bool:
    """Whether an event may say when something of it settled; else the inbox is not queried."""
    if stored is None or seen.origin == "delivery":
        return invoice.status == "Settled" or bool(invoice.payments)
    if invoice.status == "Settled" and stored.snapshot.status != "Settled":
        return True
    known = stored.payments
    return any(
        payment.status == "Settled"
        and (
            (payment.method, payment.id) not in known
            or known[payment.method, payment.id].status != "Settled"
        )
        for payment in invoice.payments or ()
    )


def _apply(
    invoice: Invoice,
    seen: InvoicesSeen,
    stored: StoredInvoice | None,
    configured: tuple[Campaign, ...],
    events: EventTimes,
) -> _Applied:
    old = None if stored is None else stored.snapshot
    apps = seen.apps.get(invoice.id, frozenset() if old is None else old.apps)
    campaign = membership(seen.store, invoice.metadata, apps, configured)
    undated = invoice_snapshot(invoice, seen.store, apps, campaign, old)
    open_at = None if stored is None or stored.snapshot.status == "Settled" else stored.asked_at
    snapshot = with_settled_at(undated, events, seen.at, open_at)
    before = {} if stored is None else stored.payments
    return _Applied(stored, snapshot, payment_snapshots(invoice, before, events, seen.at))


async def _store(
    conn: AsyncConnection, seen: InvoicesSeen, changed: list[_Applied], dirty: DirtySet
) -> None:
    new = [entry.snapshot for entry in changed if entry.stored is None]
    await invoices.add_invoices(conn, new, seen.asked_at, seen.at)
    await _update_invoices(conn, [entry for entry in changed if entry.stored is not None])
    payments = [(entry.snapshot.key, payment) for entry in changed for payment in entry.changed]
    await invoices.put_payments(conn, payments, seen.at)
    dirty.coins |= bitcoin_references([payment for _, payment in payments])
    for entry in changed:
        # The old rows, too: a payment that was in bitcoin may be in another currency now.
        listed_before = entry.before.keys() & entry.payments
        dirty.coins |= bitcoin_references([entry.before[key] for key in listed_before])
        for change in invoice_changes(entry.old, entry.snapshot, entry.before, entry.payments):
            dirty.add_change(change)
    await _link_earlier_refunds(conn, seen.store, [snapshot.id for snapshot in new], dirty)


async def _update_invoices(conn: AsyncConnection, known: list[_Applied]) -> None:
    """Store what changed of known invoices, and move their sums to another campaign if need be."""
    moved = {
        entry.snapshot.key: (entry.old.membership, entry.snapshot.membership)
        for entry in known
        if entry.old is not None and entry.old.membership != entry.snapshot.membership
    }
    await move_hour_totals(conn, moved)
    different = [entry.snapshot for entry in known if entry.old != entry.snapshot]
    await invoices.put_invoices(conn, different)


async def _link_earlier_refunds(
    conn: AsyncConnection, store: str, new: list[str], dirty: DirtySet
) -> None:
    """Link refunds that were seen before the invoice that they refund."""
    if new:
        await payouts.link_refunds_by_name(conn, store, invoice_ids=new)
        pulls = await payouts.pulls_of_invoices(conn, store, new)
        linked = await payouts.payouts_by_pull(conn, store, pulls)
        dirty.payouts |= {(store, payout_id) for payout_id in linked}


async def _expect_events(
    conn: AsyncConnection, seen: InvoicesSeen, changed: list[_Applied]
) -> None:
    """Expect the events that should have announced what this pull was the first to show.

    Only after the first full sweep, and only of what happened since the store sends events.
    """
    swept = await cursors.cursor_of(conn, cursors.STORE, seen.store)
    events = await cursors.cursor_of(conn, cursors.STORE_EVENTS, seen.store)
    if events is None or swept is None or swept[1] is None:
        return
    expected: list[Expected] = []
    for entry in changed:
        since = entry.snapshot.created_at if entry.stored is None else entry.stored.seen_at
        if since >= events[0]:
            types = expected_events(entry.old, entry.snapshot, entry.before, entry.payments)
            earliest = since - CLOCK_TOLERANCE_SECONDS
            expected += [Expected(entry.snapshot.id, kind, earliest) for kind in types]
    await deliveries.expect_deliveries(conn, seen.store, expected, seen.at)


async def apply_gone(conn: AsyncConnection, gone: InvoicesGone, dirty: DirtySet) -> None:
    """Mark invoices that the server has deleted as missing upstream; their payments still count."""
    missing = await invoices.mark_missing(conn, gone.store, gone.ids)
    _announce_missing(gone.store, missing, dirty)


async def apply_reached(conn: AsyncConnection, reached: SweepReached) -> None:
    """Store how far a full sweep is, so that it can be resumed after a restart."""
    if await sources.is_sweep_outdated(conn, reached.store, reached.began_at, reached.at):
        return
    await cursors.set_cursor(conn, cursors.FULL_SWEEP, reached.store, reached.end, reached.began_at)


async def apply_read(conn: AsyncConnection, read: StoreRead) -> None:
    """Store that nothing of a store was left unread, unless its full sweep did not count."""
    known = await cursors.cursor_of(conn, cursors.STORE, read.store)
    if known is not None and known[1] is not None:
        await cursors.advance_cursor(conn, cursors.STORE_READ, read.store, read.at, None)


async def apply_sweep(conn: AsyncConnection, done: SweepDone, dirty: DirtySet) -> None:
    """After a full sweep, what it should have shown and did not is missing upstream."""
    if done.sweep != "full":
        known = await cursors.cursor_of(conn, cursors.STORE, done.store)
        full_at = None if known is None else known[1]
        await cursors.set_cursor(conn, cursors.STORE, done.store, done.began_at, full_at)
        return
    if await sources.is_sweep_outdated(conn, done.store, done.began_at, done.at):
        return  # it ended while the settings changed: another one reads everything anew
    unseen = await invoices.unseen_between(conn, done.store, done.since, done.began_at)
    missing = await invoices.mark_missing(conn, done.store, unseen)
    _announce_missing(done.store, missing, dirty)
    await cursors.set_cursor(conn, cursors.STORE, done.store, done.began_at, done.began_at)
    await cursors.drop_cursor(conn, cursors.FULL_SWEEP, done.store)


def _announce_missing(store: str, missing: Mapping[str, InvoiceStatus], dirty: DirtySet) -> None:
    for invoice_id, status in missing.items():
        subject = subject_of((store, invoice_id))
        dirty.add_change(Change(INVOICE_CHANGE_TYPES[status], "btcpay", subject, reference=subject))
