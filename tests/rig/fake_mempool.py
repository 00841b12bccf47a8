"""The mempool of an explorer in memory, and a reader of its views."""

from collections import Counter
from functools import partial
from typing import cast

from tests.rig.followed_chain import (
    NETWORK,
    FundedProject,
)

from raised.chain.block_scan import WatchSet
from raised.chain.explorer.api import Explorer, SeenTx, Spender
from raised.chain.mempool import Mempool
from raised.domain.angor.founding import founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.tx import Tx, Txid, TxOut
from raised.domain.observation import MempoolSeen
from raised.errors import Unavailable
from raised.net.set_aside import SetAside
from raised.net.source_health import SourceHealthTracker

PLENTY = 1_000


class FakeMempool:
    """An explorer's mempool: `txs` wait, besides so many strangers that nobody will ask for."""

    name = "pool"

    def __init__(self, *txs: Tx) -> None:
        self.txs = {tx.txid: tx for tx in txs}
        self.others = 0
        self.refused: set[Txid] = set()  # asking for these gives an error
        self.requests: Counter[str] = Counter()

    async def mempool_size(self) -> int:
        return len(self.txs) + self.others

    async def mempool_txids(self) -> list[Txid]:
        self.requests["list"] += 1
        return list(self.txs)

    async def tx(self, txid: Txid) -> SeenTx | None:
        self.requests["tx"] += 1
        self._refuse(txid)
        tx = self.txs.get(txid)
        return None if tx is None else SeenTx(tx, (), None)

    async def unconfirmed(self, script: bytes) -> tuple[SeenTx, ...]:
        self.requests["address"] += 1
        paying = [tx for tx in self.txs.values() if any(paid == script for _, paid in tx.outputs)]
        return tuple(SeenTx(tx, (), None) for tx in paying)

    async def tip_hash(self) -> str:
        return "tip"

    async def spenders(self, txid: Txid) -> tuple[Spender | None, ...] | None:
        self._refuse(txid)
        spending: list[Spender | None] = [None] * 100
        for tx in self.txs.values():
            for vin, txin in enumerate(tx.inputs):
                if txin.outpoint.txid == txid:
                    spending[txin.outpoint.vout] = Spender(tx.txid, vin, None)
        return tuple(spending)

    def _refuse(self, txid: Txid) -> None:
        if txid in self.refused:
            raise Unavailable(self.name, "answered 500", "server_error")


class MempoolReader:
    """Reads the mempool again and again, for the one project, and keeps what was reported."""

    def __init__(self, funded: FundedProject, mempool: FakeMempool) -> None:
        self.watched = WatchSet(project_script)
        self.known: set[Txid] = set()
        self._project = funded.project.project_id
        self._fake = mempool
        self.problems = SourceHealthTracker("explorers")
        self.mempool = Mempool(
            self.watched,
            partial(founding_of, network=NETWORK),
            SetAside(self.problems, 0.001, 0.001),
        )

    async def read(self, at: int, spare: int = PLENTY) -> MempoolSeen:
        """The view at this time, in unix seconds; its transactions are known from then on."""
        explorer = cast("Explorer", self._fake)
        view = await self.mempool.read(explorer, [self._project], sorted(self.known), at, spare)
        self.known |= {tx.txid for tx in view.txs}
        self.known -= set(view.gone)
        return view


def unrelated_txs(funded: FundedProject, count: int) -> list[Tx]:
    """Transactions that have nothing to do with a project."""
    return [funded.wallet.pay([TxOut(1_000, funded.wallet.script)]) for _ in range(count)]


def reader_of(funded: FundedProject, mempool: FakeMempool) -> MempoolReader:
    reader = MempoolReader(funded, mempool)
    reader.watched.add_project(funded.project.project_id)
    return reader
