"""Health of the sources, progress of long work, and the tick of the daemon's clock."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import deliveries, problems, projects, sources
from raised.db.items.change_item import GroupState
from raised.domain.change import Change, ChangeSource, ChangeType
from raised.domain.observation import (
    ClockTicked,
    GroupProblems,
    Progress,
    SourceGroup,
    SourceHealth,
    State,
)
from raised.record.dirty_set import DirtySet

_CHANGES: Final[dict[State, ChangeType]] = {
    "ok": "source.restored",
    "degraded": "source.degraded",
    "down": "source.lost",
}
_GROUPS: Final[dict[SourceGroup, ChangeSource]] = {"chain": "chain", "relays": "relay"}
_ORDER: Final[tuple[State, ...]] = ("ok", "degraded", "down")


async def apply_health(conn: AsyncConnection, health: SourceHealth, dirty: DirtySet) -> None:
    """Store the health of a source. Only another state is a change; a new source counts as ok
    before.
    """
    await problems.replace_problems(conn, health.kind, health.name, health.problems)
    before = await sources.put_health(conn, health)
    if health.state != (before or "ok"):
        change = Change(_CHANGES[health.state], health.kind, health.name, reference=health.name)
        dirty.add_change(change)


async def apply_group(conn: AsyncConnection, seen: GroupProblems, dirty: DirtySet) -> None:
    """Store what is wrong with all sources of a group together. Only another state is a change."""
    before = await problems.replace_problems(conn, seen.group, seen.group, seen.problems)
    state = _worst(problem.state for problem in seen.problems)
    if state != _worst(before):
        change = Change(_CHANGES[state], _GROUPS[seen.group], seen.group, reference=seen.group)
        dirty.add_change(change, GroupState(seen.group, state))


def _worst(states: Iterable[State]) -> State:
    return max(states, key=_ORDER.index, default="ok")


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
