"""Book a correction and tell everything that happened, numbered in the order of the commits."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db import items
from raised.db.changes import add_changes, take_numbers
from raised.db.items import Item
from raised.db.movements import book
from raised.domain.change import Change
from raised.domain.ledger import Correction
from raised.domain.project_face import profile_change
from raised.domain.standing import Tip
from raised.record.touched import Touched

_MOVEMENT: Final = "movement"


async def tell(
    conn: AsyncConnection, touched: Touched, correction: Correction, tip: Tip | None
) -> None:
    """Add the movements of a correction, and the change rows of all that happened."""
    _tell_rest(touched, tip)
    booked = len(correction.reversals) + len(correction.rows)
    total = len(touched.news) + booked
    if not total:
        return
    first_seq = await take_numbers(conn, "change", total)
    rows = [
        {"seq": first_seq + number, "at": touched.at, **row}
        for number, row in enumerate(await _rendered(conn, touched.news))
    ]
    if booked:
        rows += await _booked(conn, touched, correction, booked, first_seq + len(rows))
    await add_changes(conn, rows)


def _tell_rest(touched: Touched, tip: Tip | None) -> None:
    told = {change.subject for change, _ in touched.news if change.type.startswith("project.")}
    for project_id in sorted(touched.shown_anew - told):
        touched.tell(profile_change(project_id))
    before = touched.tip_before
    if tip is not None and (before is None or before.hash != tip.hash):
        item: Item = {"height": tip.height, "hash": tip.hash}
        touched.tell(Change("tip", "chain", tip.hash, reference=tip.hash), item)


async def _booked(
    conn: AsyncConnection, touched: Touched, correction: Correction, count: int, first_seq: int
) -> list[dict[str, object]]:
    first_id = await take_numbers(conn, _MOVEMENT, count)
    ids = await book(conn, correction, first_id, first_seq, touched.at)
    found = await items.movement_items(conn, ids)
    return [
        {
            "seq": first_seq + number,
            "type": _MOVEMENT,
            "at": touched.at,
            "source": "angor",
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

    def subjects(prefixes: Iterable[str]) -> list[str]:
        wanted = tuple(prefixes)
        open_news = (change for change, item in news if item is None)
        return [change.subject for change in open_news if change.type.startswith(wanted)]

    sources = [change for change, _ in news if change.type.startswith("source.")]
    found: dict[str, Item] = {}
    found |= await items.project_items(conn, subjects(["project."]))
    found |= await items.investment_items(conn, subjects(["investment.", "stage.", "penalty."]))
    relays = [change.subject for change in sources if change.source == "relay"]
    explorers = [change.subject for change in sources if change.source == "explorer"]
    if relays:
        found |= await items.relay_items(conn, relays)
    if explorers:
        found |= await items.explorer_items(conn, explorers)
    return [
        {
            "type": change.type,
            "source": change.source,
            "campaign": change.project_id,
            "project_id": change.project_id,
            "reference": change.reference,
            "data": item if item is not None else found[change.subject],
        }
        for change, item in news
    ]
