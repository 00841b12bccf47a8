"""Book a correction and tell everything that happened, numbered in the order of the commits."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.campaigns import campaigns_of_projects
from raised.db.facts.changes import add_changes, take_numbers
from raised.db.facts.movements import book
from raised.db.items import items
from raised.db.items.invoice_items import invoice_items, store_items
from raised.db.items.items import Item
from raised.domain.angor.investment_state import Tip
from raised.domain.angor.project_snapshot import profile_change
from raised.domain.btcpay.invoice_snapshot import key_of, subject_of
from raised.domain.change import Change, ChangeSource
from raised.domain.ledger import Correction
from raised.record.dirty import DirtySet

_MOVEMENT: Final = "movement"
_Render = Callable[[AsyncConnection, Iterable[str]], Awaitable[dict[str, Item]]]
_SOURCES: Final[Mapping[ChangeSource, _Render]] = {
    "relay": items.relay_items,
    "explorer": items.explorer_items,
    "store": store_items,
}


async def append_changes(
    conn: AsyncConnection, dirty: DirtySet, correction: Correction, tip: Tip | None
) -> None:
    """Add the movements of a correction, and the change rows of all that happened."""
    _tell_rest(dirty, tip)
    booked = len(correction)
    news = len(dirty.news)
    if not news + booked:
        return
    first_seq = await take_numbers(conn, "change", news + booked)
    # Told last but booked first: items of the news name the rows that count what they speak of.
    booking = []
    if booked:
        booking = await _booked(conn, dirty, correction, first_seq + news)
    rows = [
        {"seq": first_seq + number, "at": dirty.at, **row}
        for number, row in enumerate(await _rendered(conn, dirty.news))
    ]
    await add_changes(conn, [*rows, *booking])


def _tell_rest(dirty: DirtySet, tip: Tip | None) -> None:
    told = {change.subject for change, _ in dirty.news if change.type.startswith("project.")}
    for project_id in sorted(dirty.shown_anew - told):
        dirty.tell(profile_change(project_id))
    before = dirty.tip_before
    if tip is not None and (before is None or before.hash != tip.hash):
        item: Item = {"height": tip.height, "hash": tip.hash}
        dirty.tell(Change("tip", "chain", tip.hash, reference=tip.hash), item)


async def _booked(
    conn: AsyncConnection, dirty: DirtySet, correction: Correction, first_seq: int
) -> list[dict[str, object]]:
    first_id = await take_numbers(conn, _MOVEMENT, len(correction))
    ids = await book(conn, correction, first_id, first_seq, dirty.at)
    found = await items.movement_items(conn, ids)
    return [
        {
            "seq": first_seq + number,
            "type": _MOVEMENT,
            "at": dirty.at,
            "source": found[one]["source"],
            "campaign": found[one]["campaign"],
            "project_id": found[one]["project_id"],
            "reference": found[one]["reference"],
            "data": found[one],
        }
        for number, one in enumerate(ids)
    ]


async def _rendered(
    conn: AsyncConnection, news: Sequence[tuple[Change, Item | None]]
) -> list[dict[str, object]]:
    """The changes as rows, each with its item as it is now."""
    found = await _items(conn, [change for change, item in news if item is None])
    projects = {change.project_id for change, _ in news if change.project_id is not None}
    campaigns = await campaigns_of_projects(conn, projects)
    return [
        {
            "type": change.type,
            "source": change.source,
            "campaign": campaigns.get(change.project_id or "") or _campaign(change, found),
            "project_id": change.project_id,
            "reference": change.reference,
            "data": item if item is not None else found[change.source, change.subject],
        }
        for change, item in news
    ]


async def _items(
    conn: AsyncConnection, changes: Sequence[Change]
) -> dict[tuple[ChangeSource, str], Item]:
    """The items that these changes speak of, by source and subject."""

    def subjects(*prefixes: str) -> list[str]:
        return [change.subject for change in changes if change.type.startswith(prefixes)]

    angor = await items.project_items(conn, subjects("project."))
    angor |= await items.investment_items(conn, subjects("investment.", "stage.", "penalty."))
    found: dict[tuple[ChangeSource, str], Item] = {
        ("angor", subject): item for subject, item in angor.items()
    }
    invoices = {key_of(one) for one in subjects("invoice.", "payment.", "refund.")}
    for key, item in (await invoice_items(conn, invoices)).items():
        found["btcpay", subject_of(key)] = item
    for source, render in _SOURCES.items():
        names = [one.subject for one in changes if one.source == source]
        if names:
            for name, item in (await render(conn, names)).items():
                found[source, name] = item
    return found


def _campaign(change: Change, found: Mapping[tuple[ChangeSource, str], Item]) -> object:
    if change.source != "btcpay":
        return None
    return found.get((change.source, change.subject), {}).get("campaign")
