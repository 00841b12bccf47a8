"""Small scripted worlds for the writer: made-up blocks, the projects of the vectors, a record."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig import vectors
from tests.rig.databases import make_sqlite_record

from raised.db import schema
from raised.db.engine import open_writer, transact
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, parse_tx
from raised.domain.event import Event, event_from_json
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    EventsSeen,
    MempoolSeen,
    Observation,
    PlacedTx,
    RolledBack,
)
from raised.record import Policy, apply_observations
from raised_simnet.actors.announcing import project_event, signed, withdrawal_event
from raised_simnet.actors.funding_txs import (
    FundingTx,
    Pledge,
    StageCoin,
    founding_outputs,
    funding_tx,
)
from raised_simnet.actors.keys import Key, key_of
from raised_simnet.actors.op_returns import legacy_founding_mark
from raised_simnet.actors.project_plan import PlannedStage, ProjectPlan, ProjectType

VECTORS = vectors.ANGOR
# What depends on when we learnt something, not on what is true.
_OUR_OWN = {
    "first_seen_at",
    "recorded_at",
    "seen_at",
    "asked_at",
    "changed_at",
    "next_stage_at",
    "indexed_height",
}
_DERIVED = (
    "project",
    "stage",
    "investment",
    "stage_output",
    "penalty_output",
    "hour_total",
    "invoice",
    "invoice_payment",
    "pull_payment",
    "payout",
)


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
            key=lambda tx: tx.position,
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


Load = Callable[[str], Scenario]


@pytest.fixture
def scenario() -> Load:
    return load_scenario


@dataclass
class Ledger:
    """A record under test, with the reads that tests want."""

    engine: AsyncEngine
    policy: Policy = field(
        default_factory=lambda: Policy(network_named("angornet"), confirmations=1, finality=100)
    )

    async def see(self, *observations: Observation) -> None:
        for observation in observations:
            await transact(self.engine, apply_observations, [observation], self.policy)

    async def see_at_once(self, observations: Sequence[Observation]) -> None:
        await transact(self.engine, apply_observations, observations, self.policy)

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


@pytest.fixture
async def second_ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Another record, to compare with; on SQLite whatever the first is on."""
    engine = open_writer(await make_sqlite_record(tmp_path / "second.db"))
    yield Ledger(engine)
    await engine.dispose()


DAY = 86_400
START = 1_768_435_200  # 2026-01-15, midnight


class World:
    """A chain of made-up blocks; transactions spend coins out of thin air unless told otherwise."""

    def __init__(self) -> None:
        self.chain = [self._ref(100, "00" * 32, START, "")]
        self.now = START
        self._coins = 0

    @property
    def tip(self) -> BlockRef:
        return self.chain[-1]

    def _ref(self, height: int, prev_hash: str, time: int, fork: str) -> BlockRef:
        block_hash = sha256(f"{prev_hash}{height}{time}{fork}".encode()).hexdigest()
        return BlockRef(height, block_hash, prev_hash, time, b"", time, time - 600)

    def mine(self, *txs: Tx, after: int = 600, fork: str = "") -> BlockSeen:
        """The next block, with these transactions, `after` seconds later."""
        tip = self.tip
        block = self._ref(tip.height + 1, tip.hash, tip.time + after, fork)
        self.chain.append(block)
        self.now += 1
        placed = tuple(
            PlacedTx(tx, funding_tx, (), "block") for funding_tx, tx in enumerate(txs, 1)
        )
        return BlockSeen(block, placed, "explorer", self.now)

    def undo(self, blocks: int) -> RolledBack:
        """The last blocks are gone."""
        lost = self.tip
        del self.chain[-blocks:]
        self.now += 1
        return RolledBack(self.tip, lost, "explorer", self.now)

    def pool(self, *txs: Tx, gone: Iterable[Tx] = (), projects: Iterable[str] = ()) -> MempoolSeen:
        """The mempool shows these; those are nowhere."""
        self.now += 1
        lost = tuple(tx.txid for tx in gone)
        return MempoolSeen(tuple(projects), txs, lost, "explorer", self.now)

    def told(self, *events: Mapping[str, Any], relay: str = "wss://one") -> EventsSeen:
        """A relay shows these events."""
        self.now += 1
        found = tuple(event_from_json(dict(event)) for event in events)
        return EventsSeen(relay, self.now, found)

    def pay(self, *outputs: TxOut, spends: Sequence[OutPoint] = ()) -> Tx:
        """A transaction with these outputs."""
        self._coins += 1
        fresh = OutPoint(sha256(f"coin {self._coins}".encode()).hexdigest(), 0)
        inputs = tuple(TxIn(spend, b"", 0xFFFFFFFF) for spend in (*spends, fresh))
        return Tx(2, inputs, outputs, 0)


class Founder:
    """A project of type Invest: two stages, ten days of penalty."""

    def __init__(self, world: World, label: str = "founder", **terms: Any) -> None:
        self.world = world
        self.key, self.recovery = key_of(1, label), key_of(1, label + " recovery")
        self.author = key_of(1, label + " nostr")
        self.plan = self.terms(**terms)
        self.event = project_event(self.author, self.plan, START - 2 * DAY)

    @property
    def project_id(self) -> str:
        return self.plan.identifier

    def terms(self, **other: Any) -> ProjectPlan:
        """The terms, but for what is other."""
        stages = (
            PlannedStage(Decimal(40), START + 60 * DAY),
            PlannedStage(Decimal(60), START + 90 * DAY),
        )
        known: dict[str, Any] = {
            "kind": ProjectType.INVEST,
            "founder_key": self.key.public,
            "recovery_key": self.recovery.public,
            "nostr_pubkey": self.author.xonly.hex(),
            "start_at": START,
            "end_at": START + 30 * DAY,
            "expiry_at": START + 120 * DAY,
            "penalty_days": 10,
            "target": 1_000_000,
            "stages": stages,
        }
        return ProjectPlan(**(known | other))

    def found(self, event_id: str | None = None) -> Tx:
        """A founding transaction, of this event or another."""
        return self.world.pay(*founding_outputs(self.plan, event_id or self.event["id"]))

    def found_legacy(self) -> Tx:
        """A founding transaction as it was until late 2024: it names the nostr key."""
        mark = legacy_founding_mark(self.key.public, self.author.xonly.hex())
        return self.world.pay(TxOut(10_000, self.plan.address_script), TxOut(0, mark))

    def withdraw(self, at: int = START) -> Mapping[str, Any]:
        return withdrawal_event(self.author, at, self.event)

    def signed(self, kind: int, content: str, at: int, *tags: tuple[str, ...]) -> Mapping[str, Any]:
        return signed(self.author, kind, at, content, tags)

    def invested(
        self, gross: int = 1_000_000, label: str = "investor", spends: Sequence[OutPoint] = ()
    ) -> "Invested":
        """An investment of this much."""
        investor = key_of(1, label)
        placement = funding_tx(self.plan, Pledge(investor.public, gross))
        return Invested(self.world.pay(*placement.outputs, spends=spends), placement, investor)


@dataclass(frozen=True)
class Invested:
    """An investment's transaction, and what is needed to spend it."""

    tx: Tx
    placement: FundingTx
    investor: Key

    @property
    def coins(self) -> tuple[StageCoin, ...]:
        return self.placement.coins(self.tx)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def founder(world: World) -> Founder:
    return Founder(world)


@pytest.fixture
def other_founder(world: World) -> Founder:
    return Founder(world, "other")


@pytest.fixture
def regtest_ledger(ledger: Ledger) -> Ledger:
    ledger.policy = Policy(network_named("regtest"), confirmations=1, finality=100)
    return ledger
