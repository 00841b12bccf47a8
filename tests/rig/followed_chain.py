"""The chain source and the real record, on explorers of the simnet."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Never, TypeVar

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.single_project import Investment, SingleProject

from raised.chain.settings import ChainSettings, ExplorerSettings, RateLimit
from raised.chain.source import ChainSource
from raised.db import schema
from raised.db.audit.check import differences
from raised.db.engine import open_reader, reading
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.tx import Tx
from raised.domain.event import event_from_json
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    EventsSeen,
    HistorySeen,
    MempoolSeen,
    Observation,
    RolledBack,
    SourceHealth,
    TipSeen,
)
from raised.record import Policy, write_observations
from raised.service.record_view import RecordView
from raised_simnet.actors.wallet import Wallet
from raised_simnet.explorer.server import Explorer, Flavour
from raised_simnet.world import World

Kind = TypeVar("Kind", bound=Observation)

NETWORK = network_named("regtest")
UNLIMITED = RateLimit(
    per_second=1e6,
    burst=1_000_000,
    base_seconds=0.005,
    cap_seconds=0.02,
    rest_seconds=0.3,
    longest_rest_seconds=0.3,
)


def fast_settings(world: World) -> ChainSettings:
    """All explorers of a world, asked as often as need be; the mempool once."""
    return ChainSettings(
        tuple(ExplorerSettings(explorer.url, rate_limit=UNLIMITED) for explorer in world.explorers),
        poll_seconds=0.02,
        fork_wait_seconds=0.5,
        mempool_seconds=1e6,
        health_seconds=0.05,
        history_pause_seconds=0.05,
    )


@dataclass(frozen=True, slots=True)
class ProjectTotals:
    """What the record says of the one project."""

    raised: int
    claimed: int
    investments: int


class ObservationLog:
    """The observations that were committed, in order, and the totals they led to."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.observations: list[Observation] = []
        self._committed = asyncio.Event()
        self._failure: BaseException | None = None
        self.may_end = False

    def on_end(self, source: "asyncio.Task[Never]") -> None:
        """The source has ended; when by an error, that ends all waiting."""
        error = None if source.cancelled() else source.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._failure = error
        self._committed.set()

    def committed(self, batch: Sequence[Observation]) -> None:
        """These are in the record."""
        self.observations += batch
        self._committed.set()

    def of_kind(self, kind: type[Kind]) -> list[Kind]:
        """All observations of a kind."""
        return [observation for observation in self.observations if isinstance(observation, kind)]

    def health(self, explorer: Explorer) -> SourceHealth | None:
        """The last health of an explorer."""
        return self.latest(explorer.url)

    def latest(self, url: str) -> SourceHealth | None:
        """The last health of an explorer, by its address."""
        reports = (
            observation
            for observation in reversed(self.observations)
            if isinstance(observation, SourceHealth)
        )
        return next((report for report in reports if report.name == url), None)

    @property
    def tip(self) -> BlockRef | None:
        """The newest block by all that was observed."""
        for observation in reversed(self.observations):
            match observation:
                case BlockSeen(block=block) | TipSeen(block=block) | RolledBack(to=block):
                    return block
                case _:
                    continue
        return None

    async def wait_until(self, test: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not test():
                await self._wait_for_commit()

    async def wait_until_caught_up(self, world: World) -> None:
        """Wait until the best block is in the record and every history was read.

        Also one that is shorter than the explorer counts, which is read again much later.
        """
        tip = world.chain.tip_hash
        await self.wait_until(lambda: self.tip is not None and self.tip.hash == tip)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await self._unread_projects():
                await self._wait_for_commit()

    async def _unread_projects(self) -> set[str]:
        unindexed = await RecordView(self.engine, 100).unindexed_projects()
        short = select(schema.problem.c.subject).where(schema.problem.c.code == "history_short")
        async with reading(self.engine) as conn:
            return set(unindexed) - set(await conn.scalars(short))

    async def _wait_for_commit(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._committed.clear()
        await self._committed.wait()

    async def wait_for_error(self, explorer: Explorer, code: str) -> SourceHealth:
        """Wait until health names an explorer for this; what it says."""
        await self.wait_until(lambda: _blamed(self.health(explorer), code))
        health = self.health(explorer)
        assert health is not None
        return health

    async def wait_for_end(self) -> BaseException:
        """Wait until the source ends by an error, which is what the test wants."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while self._failure is None:
                self._committed.clear()
                await self._committed.wait()
        self.may_end = True
        return self._failure

    async def totals(self, project: SingleProject) -> ProjectTotals:
        """The project's totals."""
        table = schema.project
        columns = (table.c.raised_sats, table.c.claimed_sats, table.c.investments)
        async with reading(self.engine) as conn:
            rows = await conn.execute(select(*columns).where(table.c.id == project.project_id))
            return ProjectTotals(*rows.one())

    async def is_consistent(self, world: World) -> bool:
        """Whether all sums agree, and nothing was observed but what the chain's nodes saw."""
        async with reading(self.engine) as conn:
            if await differences(conn):
                return False
        return all(world.chain.tx(tx.txid) == tx for tx in self._txs())

    def _txs(self) -> list[Tx]:
        placed = [placed_tx for block in self.of_kind(BlockSeen) for placed_tx in block.txs]
        placed += [
            placed_tx for history in self.of_kind(HistorySeen) for _, placed_tx in history.txs
        ]
        unconfirmed = [tx for view in self.of_kind(MempoolSeen) for tx in view.txs]
        return [*(placed_tx.tx for placed_tx in placed), *unconfirmed]


def _blamed(health: SourceHealth | None, code: str) -> bool:
    if health is None or health.state == "ok" or health.last_error is None:
        return False
    return health.last_error[0] == code


@asynccontextmanager
async def following(
    settings: ChainSettings,
    engine: AsyncEngine,
    project: SingleProject | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[ObservationLog]:
    """The source and the record's writer run inside; the project's event came from a relay.

    `transport`: what stands between the source and the explorers.
    """
    # As the process does it: a read that is cancelled half-way must not keep the writer's lock.
    reader = open_reader(engine.url.render_as_string(hide_password=False))
    observed = ObservationLog(reader)
    view = RecordView(reader, settings.finality)
    explorers = ChainSource(settings, NETWORK, view, transport)
    outbox: asyncio.Queue[Observation] = asyncio.Queue(256)
    if project is not None:
        event = event_from_json(dict(project.event))
        outbox.put_nowait(EventsSeen("wss://relay", event.created_at, (event,)))

    def committed(batch: Sequence[Observation], _seconds: float) -> None:
        observed.committed(batch)
        explorers.wake()

    policy = Policy(NETWORK, settings.confirmations, settings.finality)
    writing = asyncio.create_task(write_observations(outbox, engine, policy, committed))
    await outbox.join()
    asking = asyncio.create_task(explorers.follow(outbox))
    asking.add_done_callback(observed.on_end)
    try:
        yield observed
        assert observed.may_end or not asking.done(), asking.exception()
    finally:
        asking.cancel()
        await asyncio.wait({asking})
        await outbox.join()
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await explorers.close()
        await reader.dispose()


@dataclass(frozen=True, slots=True)
class FundedProject:
    """A project with money in it, and actors with more."""

    world: World
    project: SingleProject
    wallet: Wallet
    investments: list[Investment]

    def invest(self, gross: int = 100_000) -> Investment:
        """One more investment, in no block yet."""
        investment = self.project.invest(self.wallet, str(len(self.investments)), gross)
        self.investments.append(investment)
        return investment

    def mine_investment(self, gross: int = 100_000) -> Investment:
        """One more investment, in the next block."""
        investment = self.invest(gross)
        self.world.chain.mine([investment.tx])
        return investment


@asynccontextmanager
async def funded_project(
    explorers: int | Sequence[Flavour] = 1, coins: int = 30
) -> AsyncIterator[FundedProject]:
    """A project, founded and invested in once, before anybody follows it.

    `coins`: enough for so many transactions less one.
    """
    async with World(explorers=explorers, relays=0) as world:
        funded = FundedProject(
            world, SingleProject(), world.wallet("actors", coins=coins, value=1_000_000), []
        )
        world.chain.mine([funded.project.found(funded.wallet)])
        funded.mine_investment()
        yield funded
