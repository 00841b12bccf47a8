"""Notes when the first sync has ended, and whether the record is complete, as part of each commit.

In the transaction of what decides it: no reader sees a record that calls itself complete before
the last sum is in, and a record whose completeness changes has a change to tell of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import marks
from raised.db.items.change_item import Completeness
from raised.db.queries.first_sync import (
    Readings,
    awaits_histories,
    awaits_what_follows,
    last_seen_project,
    read_readings,
)
from raised.domain.change import Change
from raised.domain.observation import (
    BackfillDone,
    BlockSeen,
    ClockTicked,
    GroupProblems,
    HistorySeen,
    Observation,
    Progress,
    SourceHealth,
    SourcesConfigured,
    StoreRead,
    TipSeen,
    WantedAsked,
)
from raised.record.dirty_set import DirtySet

_RECORD: Final = "record"
# Whatever else is observed, events above all, only adds work.
_DECISIVE = (
    BackfillDone
    | WantedAsked
    | TipSeen
    | BlockSeen
    | HistorySeen
    | StoreRead
    | Progress
    | SourceHealth
    | GroupProblems
    | SourcesConfigured
    | ClockTicked
)
_ENDS_COMPLETENESS = SourcesConfigured | TipSeen


async def update(
    conn: AsyncConnection, observations: Sequence[Observation], dirty: DirtySet
) -> None:
    """Store what these observations decide, whose facts are stored and not yet recomputed.

    Every commit asks, so a record that is complete costs one row.
    """
    is_complete = await marks.is_complete(conn)
    decisive = _ENDS_COMPLETENESS if is_complete else _DECISIVE
    if not any(isinstance(observation, decisive) for observation in observations):
        return
    readings = await read_readings(conn)
    has_ended = readings.ended_at is not None or await _end(conn, readings, dirty.at)
    is_gap_open = readings.gap_at is not None and not await _close_gap(conn, readings.gap_at)
    complete = has_ended and not readings.unread and not is_gap_open
    if complete != is_complete:
        await marks.put_complete(conn, complete=complete)
        change = Change("record.complete" if complete else "record.incomplete", _RECORD, _RECORD)
        dirty.add_change(change, Completeness(complete))


async def _end(conn: AsyncConnection, readings: Readings, at: int) -> bool:
    """End the first sync if nothing is awaited any more; whether it has ended."""
    if not readings.has_relay or not readings.are_read:
        return False
    if readings.first_read_at is None:
        # What was observed before may be dated later than what this commit observed.
        first_read_at = max(at, await last_seen_project(conn))
        await marks.put_first_read(conn, first_read_at)
        readings = replace(readings, first_read_at=first_read_at)
    if await awaits_what_follows(conn, readings):
        return False
    await marks.put_first_sync_ended(conn, at)
    return True


async def _close_gap(conn: AsyncConnection, at: int) -> bool:
    """Whether every history is read again after blocks were passed over at this time."""
    if await awaits_histories(conn, at):
        return False
    await marks.drop_gap(conn)
    return True
