"""Everything that was ever in a block, on any branch: what a block explorer never forgets."""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from raised.domain.bitcoin.block import Block
from raised.domain.bitcoin.hashes import sha256
from raised.domain.bitcoin.tx import OutPoint, Tx, TxOut


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block with its place. `median_time`: of the last eleven times, its own included."""

    hash: str
    height: int
    raw: bytes
    block: Block
    median_time: int

    @property
    def prev_hash(self) -> str:
        """The block before."""
        return self.block.header.prev_hash

    @property
    def time(self) -> int:
        """The header's time."""
        return self.block.header.time

    @property
    def txs(self) -> tuple[Tx, ...]:
        """Its transactions, coinbase first."""
        return self.block.txs


class Spender(NamedTuple):
    """An input that spends some outpoint."""

    txid: str
    vin: int


class BlockArchive:
    """Blocks and transactions by every way they are asked for. `scripts`: by their SHA-256."""

    def __init__(self) -> None:
        self.blocks: dict[str, StoredBlock] = {}
        self.txs: dict[str, Tx] = {}
        self.places: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.spenders: defaultdict[OutPoint, dict[Spender, None]] = defaultdict(dict)
        self.touching: defaultdict[bytes, dict[str, None]] = defaultdict(dict)
        self.scripts: dict[bytes, bytes] = {}

    def add(self, stored: StoredBlock) -> None:
        """Remember a block; its inputs' outputs must be remembered already."""
        if stored.hash in self.blocks:
            return
        self.blocks[stored.hash] = stored
        for position, tx in enumerate(stored.txs):
            self.txs[tx.txid] = tx
            self.places[tx.txid][stored.hash] = position
            for output in tx.outputs:
                self.touching[output.script_pubkey][tx.txid] = None
                self.scripts[sha256(output.script_pubkey)] = output.script_pubkey
            if not tx.is_coinbase:
                self._add_spends(tx)

    def _add_spends(self, tx: Tx) -> None:
        for vin, txin in enumerate(tx.inputs):
            self.spenders[txin.outpoint][Spender(tx.txid, vin)] = None
            spent = self.output(txin.outpoint)
            if spent is not None:
                self.touching[spent.script_pubkey][tx.txid] = None

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """The output, whether it is spent or not."""
        tx = self.txs.get(outpoint.txid)
        if tx is None or outpoint.vout >= len(tx.outputs):
            return None
        return tx.outputs[outpoint.vout]
