"""Sources that read a small world for the first time, each at its own pace.

What a source reports waits in a queue before the record has it, as in the daemon, and what it looks
for next depends on what the record has by then.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from random import Random
from typing import Any

from sqlalchemy import select
from tests.record.conftest import Founder, Invested, Ledger, World
from tests.rig.store_observations import StoreObservations, coin, invoice, payment, payout, pull

from raised.db import schema
from raised.db.queries import chain_source, relay_source
from raised.domain.bitcoin.tx import Tx
from raised.domain.ledger import MSATS_PER_SAT
from raised.domain.observation import (
    BackfillDone,
    BlockRef,
    ConfiguredStore,
    DaemonStarted,
    HistorySeen,
    Observation,
    PlacedTx,
    Progress,
    SourceHealth,
    SourcesConfigured,
    StoreRead,
    TipSeen,
    WantedAsked,
)
from raised.domain.wanted import digest_of_events

QUICK, SLOW, AWAY = "wss://quick.example", "wss://slow.example", "wss://away.example"
SHOP = "shop"
PAID, REFUNDED = 100_000, 40_000
Totals = tuple[int, int]


class FirstSync:
    """A world, the sources that read it, and what they have reported and the record not yet taken.

    Three projects: one announced on the quick relay, one on the slow one; of the third only a block
    tells, which comes while histories are read, and the slow relay has its event when asked by id.
    """

    def __init__(self, ledger: Ledger, world: World) -> None:
        self.ledger, self.world = ledger, world
        self.queue: list[Observation] = []
        self.unread: set[str] = set()  # projects whose history no explorer gives
        early, late, hidden = (Founder(world, name) for name in ("early", "late", "hidden"))
        money = [who.invested(label="investor") for who in (early, late, hidden)]
        self.histories: dict[str, list[tuple[BlockRef, PlacedTx]]] = {}
        for who, invested in zip((early, late), money, strict=False):
            self._mine(who, who.found(), invested.tx)
        self._base = world.tip
        self._hidden = world.mine(hidden.found(), money[2].tx)
        self.histories[hidden.project_id] = [(self._hidden.block, tx) for tx in self._hidden.txs]
        self.totals: Totals = (sum(map(_stages, money)) + PAID, REFUNDED)
        self._events = (early.event, late.event, hidden.event)
        self.parts: dict[str, AsyncIterator[None]] = {}
        self.restart()

    def _mine(self, who: Founder, *txs: Tx) -> None:
        seen = self.world.mine(*txs)
        self.histories[who.project_id] = [(seen.block, tx) for tx in seen.txs]

    def restart(self) -> None:
        """The sources begin anew; what they had reported and the record not taken is lost."""
        early, late, hidden = self._events
        self.queue.clear()
        self.parts = {
            "quick": self.relay(QUICK, [early], {}),
            "slow": self.relay(SLOW, [late], {hidden["id"]: hidden}),
            "chain": self.chain(),
            "shop": self.shop(),
        }

    async def start(self, relays: Iterable[str] = (QUICK, SLOW)) -> None:
        """The daemon has started and follows these relays and the shop."""
        at, store = self.world.now, ConfiguredStore(SHOP, "", "", (), (), ())
        configured = SourcesConfigured(at, "regtest", 1, tuple(relays), (), (store,))
        await self.ledger.see_at_once([DaemonStarted(at, "1"), configured])

    async def run(self, dice: Random) -> AsyncIterator[None]:
        """Read everything in a random order; pauses after each commit, until all is at rest."""
        idle = 0
        while idle < 40:
            before = len(self.queue)
            await anext(self.parts[dice.choice(list(self.parts))])
            if self.queue and dice.random() < 0.4:
                size = dice.randint(1, len(self.queue))
                batch, self.queue = self.queue[:size], self.queue[size:]
                await self.ledger.see_at_once(batch)
                yield
            idle = 0 if self.queue or len(self.queue) != before else idle + 1

    async def relay(
        self, url: str, events: list[Mapping[str, Any]], by_id: Mapping[str, Mapping[str, Any]]
    ) -> AsyncIterator[None]:
        """A back-fill, then what the record wants, again and again."""
        told = self.world.told
        backfill: list[Observation] = [
            SourceHealth("relay", url, "ok", self.world.now),
            Progress(f"backfill {url}", 0, 2, self.world.now),
            *(told(event, relay=url) for event in events),
            BackfillDone(url, self.world.now, self.world.now, full=True),
            Progress(f"backfill {url}", 2, 2, self.world.now),
        ]
        for seen in backfill:
            self.queue.append(seen)
            yield
        asked: tuple[int, bool] | None = None
        while True:
            async with self.ledger.engine.connect() as conn:
                state = await relay_source.are_sources_read(conn)
                missing = await relay_source.missing_events(conn)
                digest = digest_of_events(missing)
            yield
            if (digest, state) != asked:
                for event_id in by_id.keys() & set(missing):
                    self.queue.append(told(by_id[event_id], relay=url))
                    yield
                self.queue.append(WantedAsked(url, self.world.now, digest, state))
                asked = (digest, state)
            yield

    async def chain(self) -> AsyncIterator[None]:
        """The tip, a block on it, and every history that the record asks for."""
        tip = TipSeen(self._base, "explorer", self.world.now)
        height = self._hidden.block.height
        for seen in (tip, self._hidden, Progress("blocks", height, height, self.world.now)):
            self.queue.append(seen)
            yield
        reported: set[str] = set()
        while True:
            async with self.ledger.engine.connect() as conn:
                unread = set(await chain_source.unindexed_projects(conn)) - reported - self.unread
            yield
            for project_id in sorted(unread):
                reported.add(project_id)
                self.queue.append(self.history(project_id))
                yield
            yield

    def history(self, project_id: str) -> HistorySeen:
        """Everything that concerns a project."""
        txs = tuple(self.histories[project_id])
        return HistorySeen(project_id, txs, self.world.tip, "explorer", self.world.now)

    async def shop(self) -> AsyncIterator[None]:
        """All invoices, and then the refunds."""
        says = StoreObservations(SHOP, self.world.now)
        what = f"btcpay {SHOP}"
        for seen in (
            SourceHealth("store", SHOP, "ok", says.now),
            Progress(what, 0, 50, says.now),
            says.invoices_seen(invoice("one", payment(coin(1))), origin="full"),
            says.sweep_done("full"),
            Progress(what, 1, 2, says.now),
            says.refunds_seen([pull("pull", "Refund one")], payout("payout", "pull")),
            StoreRead(SHOP, says.now),
            Progress(what, 1, 1, says.now),
        ):
            self.queue.append(seen)
            yield
        while True:
            yield

    async def shown(self) -> Totals:
        """What the record says was raised and returned."""
        rows = await self.ledger.rows(schema.movement)
        by_kind = {
            kinds: sum(row["amount_msats"] for row in rows if row["kind"] in kinds)
            for kinds in (("investment", "payment"), ("refund",))
        }
        raised, returned = by_kind.values()
        return raised // MSATS_PER_SAT, returned // MSATS_PER_SAT

    async def marks(self) -> dict[str, str]:
        """What the record says of itself."""
        marks = await self._meta()
        return {key: marks[key] for key in marks.keys() - {"network", "first_read_at"}}

    async def was_read(self) -> bool:
        """Whether every source was read once, while the first sync goes on."""
        return "first_read_at" in await self._meta()

    async def _meta(self) -> dict[str, str]:
        async with self.ledger.engine.connect() as conn:
            rows = await conn.execute(select(schema.meta))
            return {row.key: row.value for row in rows}


def _stages(invested: Invested) -> int:
    return sum(coin.output.value for coin in invested.coins)
