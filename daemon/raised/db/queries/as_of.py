"""What an answer stands on: the newest change, the tip, whether daemon and sources are there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ScalarSelect, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.marks import COMPLETE, TRUE
from raised.db.schema import (
    block,
    change,
    counter,
    daemon,
    explorer,
    meta,
    problem,
    relay,
    store,
)
from raised.db.stored_settings import read_stored_settings

SourceState = Literal["ok", "degraded", "down", "off"]

# A daemon that was not seen for longer is taken for dead: it says so every few seconds.
SEEN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RecordState:
    """The ground of every answer read in the same transaction."""

    seq: int
    height: int | None
    hash: str | None
    seen_at: int | None  # when the daemon last said that it lives
    relays: SourceState
    chain: SourceState
    btcpay: SourceState
    complete: bool = False  # every source was read once, and so is all that follows from it

    def daemon_alive(self, now: int) -> bool:
        """Whether the daemon was seen lately."""
        return self.seen_at is not None and now - self.seen_at <= SEEN_SECONDS

    def source_states(self, now: int) -> tuple[SourceState, SourceState, SourceState]:
        """Relays, chain and stores: what is followed is down while no daemon follows it."""
        alive = self.daemon_alive(now)
        relays, chain, btcpay = (
            state if alive or state == "off" else "down"
            for state in (self.relays, self.chain, self.btcpay)
        )
        return relays, chain, btcpay

    def is_stale(self, now: int) -> bool:
        """Whether the record may be behind the world."""
        return not self.daemon_alive(now) or "down" in (self.relays, self.chain, self.btcpay)


async def read_as_of(conn: AsyncConnection) -> RecordState:
    """What this transaction's view of the record stands on."""
    tip = select(block.c.height, block.c.hash).order_by(block.c.height.desc()).limit(1).subquery()
    ground = select(
        newest_seq().label("seq"),
        select(tip.c.height).scalar_subquery().label("height"),
        select(tip.c.hash).scalar_subquery().label("hash"),
        select(func.max(daemon.c.seen_at)).scalar_subquery().label("seen_at"),
        select(meta.c.value).where(meta.c.key == COMPLETE).scalar_subquery().label("complete"),
    )
    row = (await conn.execute(ground)).one()
    settings = await read_stored_settings(conn)
    states = await _states(conn)
    return RecordState(
        seq=row.seq,
        height=row.height,
        hash=row.hash,
        seen_at=row.seen_at,
        relays=_with_group(_together(states["relay"], settings.relays), states["relays"]),
        chain=_with_group(_together(states["explorer"], settings.explorers), states["chain"]),
        btcpay=_together(states["store"], settings.store_labels),
        complete=row.complete == TRUE,
    )


def newest_seq() -> ScalarSelect[int]:
    """The number of the newest change, also where retention has left no row."""
    kept = select(func.max(change.c.seq)).scalar_subquery()
    given = select(counter.c.value).where(counter.c.name == "change").scalar_subquery()
    return select(func.coalesce(kept, given, 0)).scalar_subquery()


async def _states(conn: AsyncConnection) -> dict[str, dict[str, str]]:
    states: dict[str, dict[str, str]] = {
        kind: {} for kind in ("relay", "explorer", "store", "relays", "chain")
    }
    statement = union_all(
        select(literal("relay").label("kind"), relay.c.name, relay.c.state),
        select(literal("explorer").label("kind"), explorer.c.name, explorer.c.state),
        select(literal("store").label("kind"), store.c.name, store.c.state),
        select(problem.c.kind, problem.c.code, problem.c.state).where(
            problem.c.kind.in_(("relays", "chain")), problem.c.state != "ok"
        ),
    )
    for row in await conn.execute(statement):
        states[row.kind][row.name] = row.state
    return states


def _with_group(state: SourceState, problems: Mapping[str, str]) -> SourceState:
    """The state with what is wrong with no source alone, but with all of them together."""
    found = {state, *problems.values()}
    if state == "off" or not problems:
        return state
    return "down" if "down" in found else "degraded"


def _together(states: Mapping[str, str], followed: tuple[str, ...] | None) -> SourceState:
    """One state for sources of a kind: down only when nobody is left, or none said anything yet."""
    names = states if followed is None else followed
    found = {states.get(name, "down") for name in names}
    if not found:
        return "off"
    if found == {"ok"}:
        return "ok"
    return "down" if found == {"down"} else "degraded"
