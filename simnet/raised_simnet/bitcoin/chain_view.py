"""The chain as one server sees it: perhaps some blocks late, perhaps on another branch."""

from dataclasses import dataclass
from typing import NamedTuple

from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised_simnet.bitcoin.block_archive import Spender, StoredBlock
from raised_simnet.bitcoin.chain import RegtestChain


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction is confirmed."""

    stored: StoredBlock
    position: int


class Row(NamedTuple):
    """A confirmed transaction in a script's history."""

    height: int
    position: int
    spends: bool
    txid: str


class ChainView:
    """One server's best chain and mempool.

    `lag`: so many of the newest blocks are not known yet; their transactions still wait.
    `pinned`: the tip of the branch this server stays on, whatever the others do.
    `hidden`: transactions it keeps quiet about.
    """

    def __init__(self, chain: RegtestChain) -> None:
        self.chain = chain
        self.lag = 0
        self.pinned: str | None = None
        self.hidden: frozenset[str] = frozenset()

    @property
    def height(self) -> int:
        """Of its tip."""
        if self.pinned is not None:
            return self.chain.archive.blocks[self.pinned].height
        return max(self.chain.height - self.lag, 0)

    @property
    def tip(self) -> StoredBlock:
        """Its best block."""
        return self.chain.archive.blocks[self.pinned or self.chain.best[self.height]]

    def block_at(self, height: int) -> StoredBlock | None:
        """Its best chain's block of this height."""
        if not 0 <= height <= self.height:
            return None
        if self.pinned is None:
            return self.chain.block_at(height)
        walk = self.tip
        while walk.height > height:
            if self.chain.best[walk.height : walk.height + 1] == [walk.hash]:
                return self.chain.block_at(height)  # the branch has met the best chain
            walk = self.chain.archive.blocks[walk.prev_hash]
        return walk

    def best_block(self, block_hash: str) -> StoredBlock | None:
        """A block, when it is on its best chain."""
        stored = self.chain.archive.blocks.get(block_hash)
        return stored if stored is not None and self._is_best(stored) else None

    def seen_block(self, block_hash: str) -> StoredBlock | None:
        """A block it has seen, stale or not."""
        stored = self.chain.archive.blocks.get(block_hash)
        return stored if stored is not None and stored.height <= self.height else None

    def _is_best(self, stored: StoredBlock) -> bool:
        return self.block_at(stored.height) is stored

    def tx(self, txid: str) -> Tx | None:
        """A transaction it knows: one that waits, or that was ever in a block."""
        return None if txid in self.hidden else self.chain.tx(txid)

    def place(self, txid: str) -> Place | None:
        """Where its best chain holds the transaction."""
        for block_hash, position in self.chain.archive.places.get(txid, {}).items():
            stored = self.chain.archive.blocks[block_hash]
            if self._is_best(stored):
                return Place(stored, position)
        return None

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """An output of any transaction it knows."""
        return self.chain.output(outpoint)

    def mempool(self) -> list[Tx]:
        """What waits, in order of arrival; for a late server also what the newest blocks hold."""
        waiting = self.chain.mempool
        if self.pinned is None:
            blocks = map(self.chain.block_at, range(self.height + 1, self.chain.height + 1))
            waiting = (*(tx for stored in blocks for tx in stored.txs[1:]), *waiting)
        else:
            waiting = tuple(tx for tx in waiting if self.place(tx.txid) is None)
        return [tx for tx in waiting if tx.txid not in self.hidden]

    def rows(self, script_pubkey: bytes) -> list[Row]:
        """The confirmed transactions of a script, in no order: every kind of server has its own."""
        found: list[Row] = []
        for txid in self.chain.archive.touching.get(script_pubkey, ()):
            place = None if txid in self.hidden else self.place(txid)
            if place is not None:
                spends = self._spends_from(place.stored.txs[place.position], script_pubkey)
                found.append(Row(place.stored.height, place.position, spends, txid))
        return found

    def waiting(self, script_pubkey: bytes) -> list[Tx]:
        """Waiting transactions of a script in order of arrival."""
        return [
            tx
            for tx in self.mempool()
            if any(output.script_pubkey == script_pubkey for output in tx.outputs)
            or self._spends_from(tx, script_pubkey)
        ]

    def _spends_from(self, tx: Tx, script_pubkey: bytes) -> bool:
        spent = (self.output(txin.outpoint) for txin in tx.inputs)
        return any(output is not None and output.script_pubkey == script_pubkey for output in spent)

    def spender(self, outpoint: OutPoint) -> Spender | None:
        """Who spends the outpoint, on its best chain or waiting."""
        late: Spender | None = None
        for spender in self.chain.archive.spenders.get(outpoint, ()):
            if spender.txid in self.hidden:
                continue
            if self.place(spender.txid) is not None:
                return spender
            if self.pinned is None and self.chain.height_of(spender.txid) is not None:
                late = spender
        return late or self._waiting_spender(outpoint)

    def _waiting_spender(self, outpoint: OutPoint) -> Spender | None:
        tx = self.tx(self.chain.mempool_spender(outpoint) or "")
        if tx is None:
            return None
        vins = (vin for vin, txin in enumerate(tx.inputs) if txin.outpoint == outpoint)
        return Spender(tx.txid, next(vins))
