"""Small scripted worlds for the writer: made-up blocks, the projects of the vectors, a record."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db import schema
from raised.db.engine import transact
from raised.domain.event import Event, event_from_json
from raised.domain.network import network_named
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    EventsSeen,
    Observation,
    PlacedTx,
    RolledBack,
)
from raised.domain.tx import Tx, parse_tx
from raised.record import Policy, remember

VECTORS = Path(__file__).parents[1] / "vectors" / "angor"
# What depends on when we learnt something, not on what is true.
_OUR_OWN = {"first_seen_at", "recorded_at", "seen_at", "next_stage_at", "indexed_height"}
_DERIVED = ("project", "stage", "investment", "stage_output", "penalty_output", "hour_total")


@dataclass(frozen=True)
class Scenario:
    """One of the vectors: an event, and transactions in their blocks."""

    name: str
    project_id: str
    event: Event
    txs: tuple[tuple[Tx, int | None, int, int], ...]  # with height, time, position
    expected: Mapping[str, Any]

    @property
    def heights(self) -> list[int]:
        found = {height for _, height, _, _ in self.txs if height is not None}
        return sorted(found | {self.expected["exactTotalsAtTip"]["tipHeight"]})

    def block(self, height: int, fork: str = "") -> BlockRef:
        times = [time for _, at, time, _ in self.txs if at is not None and at <= height]
        return block_ref(height, max(times), fork)

    def seen(self, height: int, fork: str = "") -> BlockSeen:
        placed = sorted(
            (
                PlacedTx(tx, position, (), "block")
                for tx, at, _, position in self.txs
                if at == height
            ),
            key=lambda one: one.position,
        )
        return BlockSeen(self.block(height, fork), tuple(placed), "explorer", 1_800_000_000)

    def event_seen(self) -> EventsSeen:
        return EventsSeen("wss://relay", 1_800_000_000, (self.event,))

    def back_to(self, height: int) -> RolledBack:
        to = self.block(height)
        return RolledBack(to, to, "explorer", 1_800_000_000)


def block_ref(height: int, time: int, fork: str = "") -> BlockRef:
    """A made-up block; `fork` tells those of one height apart."""
    return BlockRef(
        height, _hash(height, fork), _hash(height - 1, fork), time, b"\0" * 80, time, time - 600
    )


def _hash(height: int, fork: str) -> str:
    return sha256(f"{height}{fork}".encode()).hexdigest()


def load_scenario(name: str) -> Scenario:
    value = json.loads((VECTORS / f"scenario_{name}.json").read_text())
    event = event_from_json(value["projectEvent"])
    return Scenario(
        name,
        json.loads(event.content)["projectIdentifier"],
        event,
        tuple(
            (parse_tx(bytes.fromhex(tx["hex"])), tx["height"], tx["time"], tx["indexInBlock"])
            for tx in value["transactions"]
        ),
        value["expected"],
    )


@pytest.fixture
def scenario() -> Callable[[str], Scenario]:
    return load_scenario


@dataclass
class Ledger:
    """A record under test, with the reads that tests want."""

    engine: AsyncEngine
    policy: Policy = field(
        default_factory=lambda: Policy(network_named("angornet"), confirmations=1, finality=100)
    )

    async def see(self, *observations: Observation) -> None:
        for one in observations:
            await transact(self.engine, remember, [one], self.policy)

    async def see_at_once(self, observations: Sequence[Observation]) -> None:
        await transact(self.engine, remember, observations, self.policy)

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        async with self.engine.connect() as conn:
            found = (await conn.execute(select(table))).mappings().all()
        return sorted((dict(row) for row in found), key=repr)

    async def project(self, project_id: str) -> dict[str, Any]:
        return next(row for row in await self.rows(schema.project) if row["id"] == project_id)

    async def changes(self) -> list[dict[str, Any]]:
        found = sorted(await self.rows(schema.change), key=lambda row: row["seq"])
        return [row | {"data": json.loads(row["data"])} for row in found]

    async def state(self) -> dict[str, Any]:
        """Everything that must follow from the facts alone."""
        state: dict[str, Any] = {}
        for name in _DERIVED:
            rows = await self.rows(schema.metadata.tables[name])
            state[name] = [_without(row, _OUR_OWN) for row in rows]
        active = [
            _without(row, {*_OUR_OWN, "id", "seq"})
            for row in await self.rows(schema.movement)
            if row["kind"] != "reversal" and row["reversed_by"] is None
        ]
        state["movement"] = sorted(active, key=repr)
        return state


def _without(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in names}


@pytest.fixture
def ledger(writer: AsyncEngine) -> Ledger:
    return Ledger(writer)
