"""Appends to the ledger and to the feed of changes, numbered in the order of the commits."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.campaigns import campaigns_of_projects
from raised.db.facts.changes import add_changes, reserve_numbers
from raised.db.facts.movements import book
from raised.db.items.change_item import Block, Item
from raised.db.items.explorer_item import explorer_items
from raised.db.items.investment_item import investment_items
from raised.db.items.invoice_item import Invoice, invoice_items
from raised.db.items.movement_item import movement_items
from raised.db.items.project_item import project_items
from raised.db.items.relay_item import relay_items
from raised.db.items.store_item import store_items
from raised.domain.angor.investment_state import Tip
from raised.domain.angor.project_snapshot import profile_change
from raised.domain.btcpay.invoice_snapshot import key_of, subject_of
from raised.domain.change import Change, ChangeSource
from raised.domain.ledger import Correction
from raised.record.dirty_set import DirtySet

_MOVEMENT: Final = "movement"
_Render = Callable[[AsyncConnection, Iterable[str]], Awaitable[Mapping[str, Item]]]
_Items = dict[tuple[ChangeSource, str], Item]  # by source and subject
_SOURCES: Final[Mapping[ChangeSource, _Render]] = {
    "relay": relay_items,
    "explorer": explorer_items,
    "store": store_items,
}


async def append(
    conn: AsyncConnection, dirty: DirtySet, correction: Correction, tip: Tip | None
) -> None:
    """Book a correction, and append a change for each of its rows and for all that happened."""
    _add_profile_changes(dirty)
    _add_tip_change(dirty, tip)
    changes = dirty.pending_changes
    if not changes and not correction:
        return
    first_seq = await reserve_numbers(conn, "change", len(changes) + len(correction))
    # Movements are booked first, though their changes come last: the items of the other changes
    # name the rows that count what they are about.
    movements: list[dict[str, object]] = []
    if correction:
        movements = await _book(conn, dirty, correction, first_seq + len(changes))
    rows = [
        {"seq": first_seq + number, "at": dirty.at, **row}
        for number, row in enumerate(await _rendered(conn, changes))
    ]
    await add_changes(conn, [*rows, *movements])


def _add_profile_changes(dirty: DirtySet) -> None:
    """A project that has another change shows its profile in that."""
    changed = {
        change.subject for change, _ in dirty.pending_changes if change.type.startswith("project.")
    }
    for project_id in sorted(dirty.profile_changed - changed):
        dirty.add_change(profile_change(project_id))


def _add_tip_change(dirty: DirtySet, tip: Tip | None) -> None:
    before = dirty.tip_before
    if tip is not None and (before is None or before.hash != tip.hash):
        item = Block(tip.height, tip.hash)
        dirty.add_change(Change("tip", "chain", tip.hash, reference=tip.hash), item)


async def _book(
    conn: AsyncConnection, dirty: DirtySet, correction: Correction, first_seq: int
) -> list[dict[str, object]]:
    """Book the rows of a correction; the changes about them."""
    first_id = await reserve_numbers(conn, _MOVEMENT, len(correction))
    ids = await book(conn, correction, first_id, first_seq, dirty.at)
    movements = await movement_items(conn, ids)
    return [
        {
            "seq": first_seq + number,
            "type": _MOVEMENT,
            "at": dirty.at,
            "source": movement.source,
            "campaign": movement.campaign,
            "project_id": movement.project_id,
            "reference": movement.reference,
            "data": movement,
        }
        for number, movement in enumerate(movements.values())
    ]


async def _rendered(
    conn: AsyncConnection, changes: Sequence[tuple[Change, Item | None]]
) -> list[dict[str, object]]:
    """The changes as rows, each with its item as it is now."""
    rendered = await _items(conn, [change for change, item in changes if item is None])
    projects = {change.project_id for change, _ in changes if change.project_id is not None}
    campaigns = await campaigns_of_projects(conn, projects)
    return [
        {
            "type": change.type,
            "source": change.source,
            "campaign": campaigns.get(change.project_id or "") or _campaign(change, rendered),
            "project_id": change.project_id,
            "reference": change.reference,
            "data": item if item is not None else rendered[change.source, change.subject],
        }
        for change, item in changes
    ]


async def _items(conn: AsyncConnection, changes: Sequence[Change]) -> _Items:
    """The items that these changes are about."""

    def subjects(*prefixes: str) -> list[str]:
        return [change.subject for change in changes if change.type.startswith(prefixes)]

    rendered: _Items = {}
    for project_id, project in (await project_items(conn, subjects("project."))).items():
        rendered["angor", project_id] = project
    invested = subjects("investment.", "stage.", "penalty.")
    for txid, investment in (await investment_items(conn, invested)).items():
        rendered["angor", txid] = investment
    invoices = {key_of(subject) for subject in subjects("invoice.", "payment.", "refund.")}
    for key, invoice in (await invoice_items(conn, invoices)).items():
        rendered["btcpay", subject_of(key)] = invoice
    for source, render in _SOURCES.items():
        names = [change.subject for change in changes if change.source == source]
        if names:
            for name, item in (await render(conn, names)).items():
                rendered[source, name] = item
    return rendered


def _campaign(change: Change, rendered: _Items) -> str | None:
    """The campaign of the invoice that the change is about."""
    item = rendered.get((change.source, change.subject))
    return item.campaign if isinstance(item, Invoice) else None
