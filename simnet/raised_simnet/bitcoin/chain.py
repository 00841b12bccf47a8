"""A regtest chain on which Bitcoin Core's own engine decides.

Blocks walk from a start time in the past: the engine has no clock of its own to set, so block times
must stay above the median of the last eleven and below now + 2 h.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raised.domain.bitcoin.block import HEADER_SIZE, parse_block, parse_header
from raised.domain.bitcoin.script import p2wpkh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut
from raised_simnet.bitcoin.block_archive import BlockArchive, StoredBlock
from raised_simnet.bitcoin.block_assembly import MATURITY, Place, assemble, subsidy
from raised_simnet.bitcoin.kernel import Kernel, verify_inputs
from raised_simnet.bitcoin.mempool import Mempool, Rejected
from raised_simnet.bitcoin.utxo_set import Coin, UtxoSet

__all__ = ["Coin", "RegtestChain", "Rejected", "Reorg", "StoredBlock"]

SPACING: Final = 600
NOBODY: Final = p2wpkh(bytes(20))
_SPAN: Final = 11  # blocks whose median time counts


@dataclass(frozen=True, slots=True)
class Reorg:
    """What a reorganisation did. `returned` went back to the mempool, `lost` are nowhere now."""

    fork_height: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    returned: tuple[str, ...]
    lost: tuple[str, ...]


class RegtestChain:
    """Blocks, coins and mempool of one node. Thread-safe; hold `lock` to read twice."""

    def __init__(self, directory: Path, start_time: int, *, payout: bytes = NOBODY) -> None:
        self.lock = threading.RLock()
        self.payout = payout
        self.archive = BlockArchive()
        self._kernel = Kernel(directory)
        self._coins = UtxoSet()
        self._pool = Mempool(self)
        self._salt = 0
        self._start_time = start_time
        genesis = self._store(self._kernel.genesis(), 0)
        self.best: list[str] = [genesis.hash]

    def close(self) -> None:
        """Let the engine go."""
        with self.lock:
            self._kernel.close()

    # What there is.

    @property
    def height(self) -> int:
        """Of the best block."""
        return len(self.best) - 1

    @property
    def tip(self) -> StoredBlock:
        """The best block."""
        return self.archive.blocks[self.best[-1]]

    @property
    def tip_hash(self) -> str:
        """Of the best block."""
        return self.best[-1]

    @property
    def tip_time(self) -> int:
        """The time in the best block's header."""
        return self.tip.time

    @property
    def median_time(self) -> int:
        """The median time past at the tip: what time locks are compared with."""
        return self.tip.median_time

    def median_time_before(self, height: int) -> int:
        """The median time of the block before this height: where a relative time lock begins."""
        return self.block_at(max(height - 1, 0)).median_time

    @property
    def unspent(self) -> Mapping[OutPoint, Coin]:
        """The confirmed coins."""
        return self._coins.unspent

    @property
    def mempool(self) -> tuple[Tx, ...]:
        """The waiting transactions in the order they arrived."""
        with self.lock:
            return tuple(self._pool.txs.values())

    def mempool_spender(self, outpoint: OutPoint) -> str | None:
        """The waiting transaction that spends this outpoint."""
        return self._pool.spent.get(outpoint)

    def block_at(self, height: int) -> StoredBlock:
        """The best chain's block of this height."""
        return self.archive.blocks[self.best[height]]

    def block(self, block_hash: str) -> StoredBlock | None:
        """Any block that was ever valid, on whatever branch."""
        return self.archive.blocks.get(block_hash)

    def tx(self, txid: str) -> Tx | None:
        """A transaction that waits, or that was ever in a block."""
        return self._pool.txs.get(txid) or self.archive.txs.get(txid)

    def height_of(self, txid: str) -> int | None:
        """The height at which the best chain holds it, or None."""
        for block_hash in self.archive.places.get(txid, ()):
            height = self.archive.blocks[block_hash].height
            if height <= self.height and self.best[height] == block_hash:
                return height
        return None

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """A confirmed unspent output."""
        return self._coins.unspent.get(outpoint)

    def coins(self, script_pubkey: bytes, *, unconfirmed: bool = False) -> list[Coin]:
        """What this script can spend in the next block and no waiting transaction spends."""
        with self.lock:
            found = [
                coin
                for coin in self._coins.of_script(script_pubkey)
                if coin.outpoint not in self._pool.spent
                and (not coin.coinbase or self.height + 1 - coin.height >= MATURITY)
            ]
            return [*found, *(self._pool.coins(script_pubkey) if unconfirmed else ())]

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """An output that waits or was ever in a block, spent or not."""
        return self._pool.output(outpoint) or self.archive.output(outpoint)

    def fee(self, tx: Tx) -> int:
        """Inputs minus outputs; 0 for a coinbase."""
        if tx.is_coinbase:
            return 0
        return sum(o.value for o in self._spent(tx)) - sum(o.value for o in tx.outputs)

    def verify(self, tx: Tx) -> list[bool]:
        """Whether the engine finds each input's script satisfied (time and amounts aside)."""
        with self.lock:
            return verify_inputs(tx, self._spent(tx))

    def _spent(self, tx: Tx) -> list[TxOut]:
        outputs = [self.output(txin.outpoint) for txin in tx.inputs]
        known = [output for output in outputs if output is not None]
        if len(known) != len(outputs):
            raise Rejected("bad-txns-inputs-missingorspent")
        return known

    # What can be done.

    def accept(self, tx: Tx) -> None:
        """Let a transaction wait, as a node would on hearing of it. Raises Rejected."""
        with self.lock:
            self._pool.accept(tx)

    def drop(self, txid: str) -> None:
        """Forget a waiting transaction and its descendants."""
        with self.lock:
            self._pool.drop(txid)

    def mine(
        self,
        txs: Sequence[Tx] | None = None,
        *,
        time: int | None = None,
        payout: bytes | None = None,
    ) -> StoredBlock:
        """A block on the tip with the whole mempool, or with exactly `txs`.

        With `txs` consensus alone decides: nothing is looked at before the engine looks at it.
        `time`: 600 s after the tip unless given. Raises Rejected, and then the tip stays.
        """
        with self.lock:
            chosen = self.mempool if txs is None else txs
            at = self.tip_time + SPACING if time is None and self.height else time
            raw = self._assemble(self.tip, chosen, at or self._start_time, payout)
            return self.submit(raw)

    def mine_many(self, count: int, *, payout: bytes | None = None) -> None:
        """Empty blocks."""
        for _ in range(count):
            self.mine((), payout=payout)

    def advance(self, to: int, *, spacing: int = 60) -> None:
        """Mine, the mempool first, until the median time past is above `to`: its lock is over."""
        with self.lock:
            while self.median_time <= to:
                self.mine(time=max(self.tip_time, to) + spacing)

    def submit(self, raw: bytes) -> StoredBlock:
        """A block from elsewhere. It must build on a known one; it need not become the best.

        Raises Rejected when it is invalid, or when its branch would be best and is not valid.
        """
        with self.lock:
            header = parse_header(raw[:HEADER_SIZE])
            parent = self.archive.blocks.get(header.prev_hash)
            if parent is None:
                raise Rejected("prev-blk-not-found")
            return self._submit(raw, header.hash, parent, keep=True)

    def _submit(
        self, raw: bytes, block_hash: str, parent: StoredBlock, *, keep: bool
    ) -> StoredBlock:
        branch, walk = [block_hash], parent
        while walk.height > self.height or self.best[walk.height] != walk.hash:
            branch.append(walk.hash)
            walk = self.archive.blocks[walk.prev_hash]
        reason = self._kernel.submit(raw, branch)
        if reason is not None:
            raise Rejected(reason)
        stored = self._store(raw, parent.height + 1)
        self._follow(self._kernel.tip(), keep=keep)
        return stored

    def fork(
        self, depth: int, blocks: Sequence[Sequence[Tx]], *, spacing: int = SPACING
    ) -> tuple[str, ...]:
        """A branch that leaves the best chain `depth` blocks below the tip; their hashes.

        It becomes the best chain once it is longer. `spacing`: seconds between its blocks.
        Raises Rejected.
        """
        return self._branch(depth, blocks, keep=True, spacing=spacing)[0]

    def reorg(
        self,
        depth: int,
        blocks: Sequence[Sequence[Tx]] = (),
        *,
        length: int | None = None,
        keep: bool = True,
        spacing: int = SPACING,
    ) -> Reorg:
        """Replace the last `depth` blocks by a longer branch that holds `blocks`, then empty ones.

        With `keep` the old transactions wait again, if they still can; without it they are lost:
        a server then still shows them, though they are nowhere. Raises Rejected.
        """
        with self.lock:
            count = max(length or depth + 1, len(blocks))
            if count <= depth:
                raise ValueError("a branch must be longer than what it replaces")
            old = tuple(self.best[self.height - depth + 1 :])
            filled = [*blocks, *([()] * (count - len(blocks)))]
            new, returned = self._branch(depth, filled, keep=keep, spacing=spacing)
            before = [tx.txid for h in old for tx in self.archive.blocks[h].txs[1:]]
            gone = [txid for txid in before if self.height_of(txid) is None]
            lost = tuple(txid for txid in gone if txid not in returned)
            back = tuple(txid for txid in gone if txid in returned)
            return Reorg(self.height - count, old, new, back, lost)

    def _branch(
        self, depth: int, blocks: Sequence[Sequence[Tx]], *, keep: bool, spacing: int
    ) -> tuple[tuple[str, ...], set[str]]:
        with self.lock:
            parent = self.block_at(self.height - depth)
            hashes: list[str] = []
            for txs in blocks:
                raw = self._assemble(parent, txs, parent.time + spacing, None)
                block_hash = parse_header(raw[:HEADER_SIZE]).hash
                parent = self._submit(raw, block_hash, parent, keep=keep)
                hashes.append(block_hash)
            return tuple(hashes), set(self._pool.txs)

    def _assemble(
        self, parent: StoredBlock, txs: Sequence[Tx], time: int, payout: bytes | None
    ) -> bytes:
        self._salt += 1
        height = parent.height + 1
        with self._known(txs):
            fees = sum(max(self._fee_or_nothing(tx), 0) for tx in txs)
        reward = TxOut(subsidy(height) + fees, payout or self.payout)
        place = Place(parent.hash, height, time)
        return assemble(place, txs, reward=reward, salt=self._salt)

    @contextmanager
    def _known(self, txs: Sequence[Tx]) -> Iterator[None]:
        """Let outputs of `txs` be found while fees are summed: they may spend one another."""
        new = [tx for tx in txs if tx.txid not in self.archive.txs]
        self.archive.txs.update((tx.txid, tx) for tx in new)
        try:
            yield
        finally:
            for tx in new:
                self.archive.txs.pop(tx.txid, None)

    def _fee_or_nothing(self, tx: Tx) -> int:
        try:
            return self.fee(tx)
        except Rejected:
            return 0  # the engine will say what is wrong with it

    def _store(self, raw: bytes, height: int) -> StoredBlock:
        block = parse_block(raw)
        times = [block.header.time]
        walk = self.archive.blocks.get(block.header.prev_hash)
        while walk is not None and len(times) < _SPAN:
            times.append(walk.time)
            walk = self.archive.blocks.get(walk.prev_hash)
        middle = sorted(times)[len(times) // 2]
        stored = StoredBlock(block.header.hash, height, raw, block, middle)
        self.archive.add(stored)
        return stored

    def _follow(self, tip: str, *, keep: bool) -> None:
        """Make `tip` the best block: coins back to the fork and up again, then the mempool."""
        new: list[StoredBlock] = []
        walk = self.archive.blocks[tip]
        while walk.height > self.height or self.best[walk.height] != walk.hash:
            new.append(walk)
            walk = self.archive.blocks[walk.prev_hash]
        abandoned: list[Tx] = []
        while self.height > walk.height:
            old = self.tip
            self._coins.disconnect(old.hash, old.txs)
            self.best.pop()
            abandoned = [*old.txs[1:], *abandoned]
        for stored in reversed(new):
            self._coins.connect(stored.hash, stored.height, stored.txs)
            self.best.append(stored.hash)
        waiting = self._pool.clear()
        for tx in [*(abandoned if keep else ()), *waiting]:
            with suppress(Rejected):  # mined meanwhile, in conflict, or not final any more
                self._pool.accept(tx, check_scripts=False)
