"""Health of the sources, progress of long work, and the tick of the daemon's clock."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import deliveries, projects, sources
from raised.domain.change import Change, ChangeType
from raised.domain.observation import ClockTicked, Progress, SourceHealth, State
from raised.record.dirty_set import DirtySet

_CHANGES: Final[dict[State, ChangeType]] = {
    "ok": "source.restored",
    "degraded": "source.degraded",
    "down": "source.lost",
}


async def apply_health(conn: AsyncConnection, health: SourceHealth, dirty: DirtySet) -> None:
    """Store the health of a source. Only another state is a change; a new source counts as ok
    before.
    """
    before = await sources.put_health(conn, health)
    if health.state != (before or "ok"):
        change = Change(_CHANGES[health.state], health.kind, health.name, reference=health.name)
        dirty.add_change(change)


async def apply_progress(conn: AsyncConnection, progress: Progress) -> None:
    """Store how far a long piece of work is."""
    await sources.put_progress(conn, progress.what, progress.done, progress.total)


async def apply_tick(conn: AsyncConnection, tick: ClockTicked) -> None:
    """Store that the daemon is alive, which release date is next, and which webhooks are overdue.

    None of it is a change: every answer of the API carries the minute it is valid for.
    """
    await sources.put_heartbeat(conn, tick.at)
    await projects.update_next_stages(conn, tick.at)
    await deliveries.count_missed_deliveries(conn, tick.at)
