"""The record of one project, in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable

from tests.rig.deadline import DEADLINE_SECONDS

from raised.chain.ports import WatchedCoin
from raised.domain.angor.watched_outputs import CoinKind, coins_made
from raised.domain.bitcoin.bech32 import encode
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    HistorySeen,
    MempoolSeen,
    Observation,
    PlacedTx,
    RolledBack,
    SourceHealth,
    TipSeen,
)


class MemoryChainRecord:
    """Applies observations as they come, and answers as the record of one project would."""

    def __init__(self, project: dict[str, str]) -> None:
        self.script = bytes.fromhex(project["scriptpubkey"])
        self.project_id = encode("angor", 0, self.script[2:])
        self.chain: list[BlockRef] = []
        self.placed: dict[Txid, tuple[BlockRef, int, Tx]] = {}
        self.waiting: dict[Txid, Tx] = {}
        self.gone: set[Txid] = set()
        self.indexed = False
        self._applied = asyncio.Event()
        self.observations: list[Observation] = []
        self.health: dict[str, SourceHealth] = {}

    async def recent_blocks(self, count: int) -> tuple[BlockRef, ...]:
        return tuple(reversed(self.chain[-count:]))

    async def hashes_at(self, heights: Collection[int]) -> dict[int, str]:
        return {block.height: block.hash for block in self.chain if block.height in heights}

    async def watched_projects(self) -> tuple[str, ...]:
        return (self.project_id,)

    async def watched_coins(self) -> AsyncIterator[WatchedCoin]:
        coins: dict[OutPoint, CoinKind] = {}
        for _, _, tx in sorted(self.placed.values(), key=lambda item: (item[0].height, item[1])):
            pays = any(output.script_pubkey == self.script for output in tx.outputs)
            spent = [
                (vin, coins[item.outpoint])
                for vin, item in enumerate(tx.inputs)
                if item.outpoint in coins
            ]
            for coin in coins_made(tx, pays_project=pays, spent=spent):
                coins[OutPoint(tx.txid, coin.vout)] = coin.kind
        for outpoint, kind in coins.items():
            yield WatchedCoin(outpoint, kind)

    async def unindexed_projects(self) -> tuple[str, ...]:
        return () if self.indexed else (self.project_id,)

    async def unconfirmed(self) -> tuple[Txid, ...]:
        return tuple(self.waiting)

    async def active_projects(self, limit: int) -> tuple[str, ...]:
        return (self.project_id,)[:limit]

    def apply(self, observation: Observation) -> None:
        """Apply an observation."""
        self.observations.append(observation)
        match observation:
            case TipSeen(block=block, below=below):
                self.chain = [*below, block]
            case RolledBack(to=to):
                self._roll_back(to)
            case BlockSeen(block=block, txs=txs):
                assert block.prev_hash == self.chain[-1].hash
                self.chain.append(block)
                self._place((block, placed) for placed in txs)
            case HistorySeen(txs=txs):
                self.indexed = True
                self._place(txs)
            case MempoolSeen():
                self._wait(observation)
            case SourceHealth(name=name):
                self.health[name] = observation
        self._applied.set()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until the observations applied make this true."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                self._applied.clear()
                await self._applied.wait()

    def spender(self, outpoint: OutPoint) -> Txid | None:
        """The confirmed transaction that spends an output."""
        rows = [
            txid
            for txid, (_, _, tx) in self.placed.items()
            if any(txin.outpoint == outpoint for txin in tx.inputs)
        ]
        assert len(rows) < 2
        return rows[0] if rows else None

    def of_kinds(self, *kinds: type[Observation]) -> list[Observation]:
        """The observations of these kinds, in order."""
        return [observation for observation in self.observations if isinstance(observation, kinds)]

    def _place(self, rows: Iterable[tuple[BlockRef, PlacedTx]]) -> None:
        for block, placed in rows:
            txid = placed.tx.txid
            self.placed[txid] = (block, placed.position, placed.tx)
            self.waiting.pop(txid, None)
            self.gone.discard(txid)

    def _wait(self, seen: MempoolSeen) -> None:
        self.waiting |= {tx.txid: tx for tx in seen.txs if tx.txid not in self.placed}
        for txid in seen.gone:
            # It may have been asked for before the block was applied that holds it.
            if self.waiting.pop(txid, None) is not None:
                self.gone.add(txid)

    def _roll_back(self, to: BlockRef) -> None:
        self.chain = [*(block for block in self.chain if block.height < to.height), to]
        for txid, (block, _, tx) in list(self.placed.items()):
            if block.height > to.height:
                del self.placed[txid]
                self.waiting[txid] = tx
