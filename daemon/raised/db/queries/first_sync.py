"""The first sync: how far every source was read, and all that follows from what it gave.

Nothing here is counted in the daemon's memory: each step is derived from the rows that it leaves
behind, so in one transaction the steps and the sums show the same moment. An event is in the record
together with the project whose history is still unread because of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, and_, exists, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.cursors import RELAY, STORE_READ, WANTED
from raised.db.facts.marks import FIRST_READ, FIRST_SYNC_ENDED, GAP
from raised.db.queries.relay_source import missing_events, project_pubkeys
from raised.db.schema import (
    block,
    cursor,
    daemon,
    explorer,
    founding,
    meta,
    problem,
    project,
    relay,
    store,
)
from raised.db.stored_settings import StoredSettings
from raised.domain.observation import MORE_PROBLEMS
from raised.domain.wanted import digest_of_events

_BLOCKS: Final = "blocks"  # the chain source calls the way to its first tip so in `Progress`
_INDEX: Final = "index"
_ANY_TIME: Final = 2**62


class Progress(msgspec.Struct, frozen=True):
    what: str
    done: int  # of `total`, which ends it
    total: int


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the first sync: done == total ends it.

    `is_awaited`: the first sync does not end before it. Nobody waits for a source that is away or
    could not be read to the end: its health says so.
    """

    what: str
    done: int
    total: int
    is_awaited: bool

    @property
    def progress(self) -> Progress:
        """The step as health shows it."""
        return Progress(self.what, self.done, self.total)


@dataclass(frozen=True, slots=True)
class SourceReading:
    """How far a relay or a store was read. `progress`: as the running daemon last said it.

    `is_away`: the running daemon has tried it and could not reach it.
    """

    name: str
    what: str
    is_read: bool
    is_away: bool
    progress: tuple[int, int] | None

    @property
    def step(self) -> Step:
        """Its first reading."""
        done, total = self.progress or ((1, 1) if self.is_read else (0, 1))
        if done < total:
            return Step(self.what, done, total, is_awaited=not self.is_away)
        # What has ended without being complete is not awaited, but not done either.
        return Step(self.what, done, total if self.is_read else done + 1, is_awaited=False)


@dataclass(frozen=True, slots=True)
class Readings:
    """How far the sources that are followed were read.

    `first_read_at`: when each had been read once, `ended_at`: when the first sync ended (Unix
    seconds); None before. `gap_at`: when blocks were passed over, while the histories that tell
    what they held may be unread. `reached_tip`: the running daemon has followed the chain to its
    tip once. `wanted`: for which events each relay was asked by id, by `digest_of_events`, and
    whether that was after all had been read.
    """

    relays: tuple[SourceReading, ...]
    stores: tuple[SourceReading, ...]
    first_read_at: int | None
    ended_at: int | None
    gap_at: int | None
    reached_tip: bool
    wanted: Mapping[str, tuple[int, int]]

    @property
    def until(self) -> int:
        """What is known since later is not part of the first sync (Unix seconds)."""
        return _ANY_TIME if self.first_read_at is None else self.first_read_at

    @property
    def are_read(self) -> bool:
        """Whether every source was read once, but for those that are away."""
        sources = (*self.relays, *self.stores)
        return self.reached_tip and not any(source.step.is_awaited for source in sources)

    @property
    def has_relay(self) -> bool:
        """Whether a relay was read to its end: before that, nothing is known."""
        return any(reading.is_read for reading in self.relays)

    @property
    def unread(self) -> tuple[SourceReading, ...]:
        """The sources that were never read to their end."""
        return tuple(reading for reading in (*self.relays, *self.stores) if not reading.is_read)


async def read_readings(conn: AsyncConnection) -> Readings:
    """How far the sources were read, in this transaction's view of the record."""
    row = (await conn.execute(select(daemon))).first()
    text, started_at = ("{}", 0) if row is None else (row.progress, row.started_at)
    progress = msgspec.json.decode(text, type=dict[str, tuple[int, int]])
    settings = StoredSettings()
    if row is not None:
        settings = msgspec.json.decode(row.settings, type=StoredSettings)
    away, marks, cursors = await _away(conn, started_at), await _marks(conn), await _cursors(conn)
    relays = await _names(conn, relay.c.name, settings.relays)
    labels = await _names(conn, store.c.name, settings.store_labels)
    return Readings(
        relays=tuple(
            SourceReading(
                url,
                what=f"backfill {url}",
                is_read=(RELAY, url) in cursors,
                is_away=("relay", url) in away,
                progress=progress.get(f"backfill {url}"),
            )
            for url in relays
        ),
        stores=tuple(
            SourceReading(
                label,
                what=f"btcpay {label}",
                is_read=(STORE_READ, label) in cursors,
                is_away=("store", label) in away,
                progress=progress.get(f"btcpay {label}"),
            )
            for label in labels
        ),
        first_read_at=marks.get(FIRST_READ),
        ended_at=marks.get(FIRST_SYNC_ENDED),
        gap_at=marks.get(GAP),
        reached_tip=_BLOCKS in progress,
        wanted={name: value for (kind, name), value in cursors.items() if kind == WANTED},
    )


async def _marks(conn: AsyncConnection) -> dict[str, int]:
    times = select(meta).where(meta.c.key.in_((FIRST_READ, FIRST_SYNC_ENDED, GAP)))
    return {row.key: int(row.value) for row in await conn.execute(times)}


async def _cursors(conn: AsyncConnection) -> dict[tuple[str, str], tuple[int, int]]:
    statement = select(cursor).where(cursor.c.source.in_((RELAY, WANTED, STORE_READ)))
    rows = await conn.execute(statement)
    return {(row.source, row.name): (row.value, row.full_at or 0) for row in rows}


async def _away(conn: AsyncConnection, started_at: int) -> set[tuple[str, str]]:
    """Kind and name of the sources that the daemon which started then could not reach."""
    tables = ((relay, "relay"), (store, "store"))
    statement = union_all(
        *(
            select(literal(kind).label("kind"), table.c.name).where(
                table.c.state == "down", table.c.seen_at >= started_at
            )
            for table, kind in tables
        )
    )
    return {(row.kind, row.name) for row in await conn.execute(statement)}


async def _names(
    conn: AsyncConnection, column: ColumnElement[str], followed: tuple[str, ...] | None
) -> tuple[str, ...]:
    """The sources that are followed; all known ones when no daemon has stored which."""
    if followed is not None:
        return followed
    return tuple(await conn.scalars(select(column).order_by(column)))


async def awaits_what_follows(conn: AsyncConnection, readings: Readings) -> bool:
    """Whether something is awaited that follows from what the sources gave at first."""
    if await awaits_histories(conn, readings.until):
        return True
    return any(step.is_awaited for step in await _wanted(conn, readings))


async def last_seen_project(conn: AsyncConnection) -> int:
    """When the newest project was first seen (Unix seconds); 0 without any."""
    return int(await conn.scalar(select(func.max(project.c.first_seen_at))) or 0)


async def awaits_histories(conn: AsyncConnection, until: int) -> bool:
    """Whether the address history of a project is still to be read that was known at this time.

    Or that was founded since, which is not for free; not of one that is set aside.
    """
    of_chain = problem.c.kind == "chain"
    set_aside = exists().where(
        of_chain, problem.c.code.startswith("history"), problem.c.subject == project.c.id
    )
    is_founded = exists().where(founding.c.project_id == project.c.id)
    is_early = or_(project.c.first_seen_at <= until, is_founded)
    unread = exists().where(project.c.indexed_height.is_(None), is_early, ~set_aside)
    # Of very many not all are named.
    unnamed = exists().where(of_chain, problem.c.code == MORE_PROBLEMS)
    return bool(await conn.scalar(select(and_(unread, ~unnamed))))


async def read_steps(conn: AsyncConnection, readings: Readings) -> list[Step]:
    """Every step, done or not; of what follows from projects only until the first sync ends."""
    return [
        *(source.step for source in readings.relays),
        await _blocks(conn, readings),
        await _index(conn, readings),
        *(source.step for source in readings.stores),
        *(await _wanted(conn, readings) if readings.ended_at is None else ()),
    ]


async def _blocks(conn: AsyncConnection, readings: Readings) -> Step:
    """From the record's tip to that of an explorer, until the daemon has been there once."""
    done = int(await conn.scalar(select(func.max(block.c.height))) or 0)
    if readings.reached_tip:
        return Step(_BLOCKS, done, done, is_awaited=False)
    facts = await conn.scalars(select(explorer.c.facts))
    shown = [msgspec.json.decode(text).get("height") or 0 for text in facts]
    return Step(_BLOCKS, done, max([done + 1, *shown]), is_awaited=True)


async def _index(conn: AsyncConnection, readings: Readings) -> Step:
    known = int(await conn.scalar(select(func.count()).select_from(project)) or 0)
    unread = select(func.count()).where(project.c.indexed_height.is_(None))
    done = known - int(await conn.scalar(unread) or 0)
    return Step(_INDEX, done, known, is_awaited=await awaits_histories(conn, readings.until))


async def _wanted(conn: AsyncConnection, readings: Readings) -> list[Step]:
    """What follows from projects and foundings: events by id, and what the projects' keys wrote.

    A relay was asked for enough when that was what the record wanted after all had been read once.
    Keys that come later are not awaited: anybody can announce projects. Events by id are: foundings
    are not for free.
    """
    event_ids, pubkeys = await missing_events(conn), await project_pubkeys(conn)
    total, digest = len(event_ids) + len(pubkeys), digest_of_events(event_ids)
    return [
        _asked(source, total, is_done=not total or readings.wanted.get(source.name) == (digest, 1))
        for source in readings.relays
        if source.is_read
    ]


def _asked(source: SourceReading, total: int, *, is_done: bool) -> Step:
    done = total if is_done else 0
    awaited = not is_done and not source.is_away
    return Step(f"wanted {source.name}", done, total, is_awaited=awaited)
