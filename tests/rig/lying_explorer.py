"""An explorer that puts a transaction into an invented block, with a merkle proof for it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raised.domain.bitcoin.block import Block, Header, meets_target, merkle_root
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, hex_from_raw, raw_from_hex
from raised_simnet.bitcoin.block_archive import Spender, StoredBlock
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.bitcoin.chain_view import ChainView, Place, Row
from raised_simnet.http.url_routing import HttpError


@dataclass(frozen=True, slots=True)
class Leaf:
    """What stands for a transaction in a tree: its id is all that the tree knows of it."""

    txid: str


class LyingExplorer(ChainView):
    """The chain and one transaction that is not in it, in one block that is not.

    `names`: whether it also says that this is the block at its height. `silent`: heights of which
    it then says nothing.
    """

    def __init__(
        self, chain: RegtestChain, block: StoredBlock, txid: str, *, names: bool = False
    ) -> None:
        super().__init__(chain)
        self._block = block
        self._names = names
        self._place = [tx.txid for tx in block.txs].index(txid)
        self._tx = block.txs[self._place]
        self.silent: Collection[int] = ()

    def tx(self, txid: str) -> Tx | None:
        return self._tx if txid == self._tx.txid else super().tx(txid)

    def place(self, txid: str) -> Place | None:
        return Place(self._block, self._place) if txid == self._tx.txid else super().place(txid)

    def best_block(self, block_hash: str) -> StoredBlock | None:
        return self._block if block_hash == self._block.hash else super().best_block(block_hash)

    seen_block = best_block

    def block_at(self, height: int) -> StoredBlock | None:
        if height in self.silent:
            raise HttpError(503, "busy")
        named = self._names and height == self._block.height
        return self._block if named else super().block_at(height)

    def _is_best(self, stored: StoredBlock) -> bool:
        return super().block_at(stored.height) is stored

    def rows(self, script_pubkey: bytes) -> list[Row]:
        known = [row for row in super().rows(script_pubkey) if row.txid != self._tx.txid]
        if all(output.script_pubkey != script_pubkey for output in self._tx.outputs):
            return known
        return [*known, Row(self._block.height, self._place, False, self._tx.txid)]

    def spender(self, outpoint: OutPoint) -> Spender | None:
        for vin, txin in enumerate(self._tx.inputs):
            if txin.outpoint == outpoint:
                return Spender(self._tx.txid, vin)
        return super().spender(outpoint)


def without_work(chain: RegtestChain, height: int, tx: Tx) -> StoredBlock:
    """A block on a real one whose header does not meet its own target."""
    return _block(
        chain, height, [_coinbase(chain, height), tx], lambda header: not meets_target(header)
    )


def with_work(chain: RegtestChain, height: int, tx: Tx) -> StoredBlock:
    """A block on a real one that was never submitted."""
    return _block(chain, height, [_coinbase(chain, height), tx], meets_target)


def with_forged_leaf(chain: RegtestChain, height: int, tx: Tx) -> StoredBlock:
    """A block of two transactions, the second of 64 bytes: the ids of `tx` and of nothing.

    The id of `tx` must be the beginning of a transaction, as `with_forgeable_txid` finds it.
    """
    rest = bytes(9) + b"\x00" + b"\xff" * 4 + b"\x01" + bytes(8) + b"\x04" + bytes(8)
    leaves = (Leaf("11" * 32), Leaf("22" * 32), tx, Leaf(hex_from_raw(rest)))
    return _block(chain, height, leaves, meets_target)


def with_forgeable_txid(tx: Tx) -> Tx:
    """The same transaction with a lock time that makes its id read as the beginning of another."""
    for locktime in range(1 << 16):
        changed = Tx(tx.version, tx.inputs, tx.outputs, locktime)
        if raw_from_hex(changed.txid)[4] == 1:
            return changed
    raise AssertionError("one in 256 does")


def at_another_height(chain: RegtestChain, txid: str, height: int) -> StoredBlock:
    """The real block of a transaction, said to be at another height."""
    place = ChainView(chain).place(txid)
    assert place is not None
    return replace(place.stored, height=height)


def _block(
    chain: RegtestChain, height: int, txs: Sequence[Any], test: Callable[[Header], bool]
) -> StoredBlock:
    parent = chain.block_at(height - 1)
    root = hex_from_raw(merkle_root([raw_from_hex(tx.txid) for tx in txs]))
    bits, time = parent.block.header.bits, parent.time + 600
    headers = (Header(1, parent.hash, root, time, bits, nonce) for nonce in range(1 << 16))
    header = next(header for header in headers if test(header))
    return StoredBlock(header.hash, height, b"", Block(header, tuple(txs)), time)


def _coinbase(chain: RegtestChain, height: int) -> Tx:
    coinbase = chain.block_at(height).txs[0]
    first: TxIn = coinbase.inputs[0]
    paid = TxOut(0, b"\x51")
    return Tx(coinbase.version, (first._replace(witness=()),), (paid,), coinbase.locktime)
