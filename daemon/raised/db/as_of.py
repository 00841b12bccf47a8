"""What an answer stands on: the newest change, the tip, whether daemon and sources are there."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ScalarSelect, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.schema import block, change, counter, daemon, explorer, relay

SourceState = Literal["ok", "degraded", "down", "off"]

# A daemon that was not seen for longer is taken for dead: it says so every few seconds.
SEEN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class AsOf:
    """The ground of every answer read in the same transaction."""

    seq: int
    height: int | None
    hash: str | None
    seen_at: int | None  # when the daemon last said that it lives
    relays: SourceState
    chain: SourceState

    def daemon_alive(self, now: int) -> bool:
        """Whether the daemon was seen lately."""
        return self.seen_at is not None and now - self.seen_at <= SEEN_SECONDS

    def is_stale(self, now: int) -> bool:
        """Whether the record may be behind the world."""
        return not self.daemon_alive(now) or "down" in (self.relays, self.chain)


async def read_as_of(conn: AsyncConnection) -> AsOf:
    """What this transaction's view of the record stands on."""
    tip = select(block.c.height, block.c.hash).order_by(block.c.height.desc()).limit(1).subquery()
    ground = select(
        newest_seq().label("seq"),
        select(tip.c.height).scalar_subquery().label("height"),
        select(tip.c.hash).scalar_subquery().label("hash"),
        select(func.max(daemon.c.seen_at)).scalar_subquery().label("seen_at"),
    )
    row = (await conn.execute(ground)).one()
    states = await _states(conn)
    return AsOf(
        seq=row.seq,
        height=row.height,
        hash=row.hash,
        seen_at=row.seen_at,
        relays=_together(states["relay"]),
        chain=_together(states["explorer"]),
    )


def newest_seq() -> ScalarSelect[int]:
    """The number of the newest change, also where retention has left no row."""
    kept = select(func.max(change.c.seq)).scalar_subquery()
    given = select(counter.c.value).where(counter.c.name == "change").scalar_subquery()
    return select(func.coalesce(kept, given, 0)).scalar_subquery()


async def _states(conn: AsyncConnection) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {"relay": set(), "explorer": set()}
    statement = union_all(
        select(literal("relay").label("kind"), relay.c.state),
        select(literal("explorer").label("kind"), explorer.c.state),
    )
    for row in await conn.execute(statement):
        states[row.kind].add(row.state)
    return states


def _together(states: Collection[str]) -> SourceState:
    """One state for sources of a kind: down only when nobody is left."""
    if not states:
        return "off"
    if set(states) == {"ok"}:
        return "ok"
    return "down" if set(states) == {"down"} else "degraded"
