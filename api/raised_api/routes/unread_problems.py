"""What the record still lacks after its first sync: sources never read to their end, and gaps."""

from collections.abc import Container
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.queries.first_sync import read_readings
from raised_api.routes.problem_item import Trouble, problem_item

_RELAY: Final = (
    "It was never read to its end, so what only this relay has is missing in the figures; it is "
    "being read."
)
_STORE: Final = (
    "Its invoices and refunds were never read to the end, so figures lack them; they are being "
    "read."
)
_GAP: Final = (
    "Blocks were passed over while the daemon was away, so figures may be wrong until the history "
    "of every project has been read again."
)


async def unread_problems(conn: AsyncConnection, named: Container[object]) -> list[Trouble]:
    """One for each source that was not read to its end, but for those that are `named` already."""
    readings = await read_readings(conn)
    if readings.ended_at is None:
        return []
    relays = [reading.name for reading in readings.relays if not reading.is_read]
    stores = [reading.name for reading in readings.stores if not reading.is_read]
    unread = [(name, "first_backfill", _RELAY) for name in relays]
    unread += [(label, "first_sweep", _STORE) for label in stores]
    problems = [
        problem_item(name, code, detail, None) for name, code, detail in unread if name not in named
    ]
    if readings.gap_at is not None:
        problems.append(problem_item("chain", "gap", _GAP, None))
    return problems
