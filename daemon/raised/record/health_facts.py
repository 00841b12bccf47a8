"""What we learn of the sources themselves: how they do, how far long work is, that we live."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import deliveries, projects, sources
from raised.domain.change import Change, ChangeType
from raised.domain.observation import ClockTicked, Progress, SourceHealth, State
from raised.record.dirty import DirtySet

_CHANGES: Final[dict[State, ChangeType]] = {
    "ok": "source.restored",
    "degraded": "source.degraded",
    "down": "source.lost",
}


async def apply_health(conn: AsyncConnection, health: SourceHealth, dirty: DirtySet) -> None:
    """Keep how a source does. Only another state is news; a new source is expected to be well."""
    before = await sources.put_health(conn, health)
    if health.state != (before or "ok"):
        change = Change(_CHANGES[health.state], health.kind, health.name, reference=health.name)
        dirty.tell(change)


async def apply_progress(conn: AsyncConnection, progress: Progress) -> None:
    """Keep how far a long piece of work is."""
    await sources.put_progress(conn, progress.what, progress.done, progress.total)


async def apply_tick(conn: AsyncConnection, tick: ClockTicked) -> None:
    """We live, release dates pass, and events are overdue. None is a change: every answer carries
    its minute.
    """
    await sources.put_daemon_seen(conn, tick.at)
    await projects.advance_next_stages(conn, tick.at)
    await deliveries.note_misses(conn, tick.at)
