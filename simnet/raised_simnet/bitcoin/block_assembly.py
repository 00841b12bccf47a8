"""Blocks from transactions: coinbase, witness commitment, merkle root, proof of work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raised.domain.bitcoin.block import Header, meets_target, merkle_root
from raised.domain.bitcoin.hashes import sha256d
from raised.domain.bitcoin.script import number, push
from raised.domain.bitcoin.tx import (
    COINBASE_TXID,
    OutPoint,
    Tx,
    TxIn,
    TxOut,
    compact_size,
    hex_from_raw,
    raw_from_hex,
)

BITS: Final = 0x207FFFFF
VERSION: Final = 0x20000000
HALVING: Final = 150
MATURITY: Final = 100
_RESERVED: Final = bytes(32)
_COMMITMENT: Final = bytes.fromhex("6a24aa21a9ed")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block goes: after which one, at which height, at what time."""

    prev_hash: str
    height: int
    time: int


def subsidy(height: int) -> int:
    """The new coins of a block: 50 BTC, halved every 150 blocks on regtest."""
    return 50 * 100_000_000 >> height // HALVING


def assemble(place: Place, txs: Sequence[Tx], *, reward: TxOut, salt: int) -> bytes:
    """A raw block with its proof of work. `salt` tells otherwise equal blocks apart."""
    coinbase = _coinbase(place.height, txs, reward, salt)
    everything = [coinbase, *txs]
    root = hex_from_raw(merkle_root([raw_from_hex(tx.txid) for tx in everything]))
    nonce = 0
    while True:
        header = Header(VERSION, place.prev_hash, root, place.time, BITS, nonce)
        if meets_target(header):
            break
        nonce += 1
    body = b"".join(tx.serialize() for tx in everything)
    return header.serialize() + compact_size(len(everything)) + body


def _coinbase(height: int, txs: Sequence[Tx], reward: TxOut, salt: int) -> Tx:
    leaves = [bytes(32), *(raw_from_hex(tx.wtxid) for tx in txs)]
    commitment = TxOut(0, _COMMITMENT + sha256d(merkle_root(leaves) + _RESERVED))
    # BIP34: the height comes first. Up to 16 it is one byte; a script_sig needs two.
    script_sig = number(height) + push(salt.to_bytes(8, "little"))
    txin = TxIn(OutPoint(COINBASE_TXID, 0xFFFFFFFF), script_sig, 0xFFFFFFFF, (_RESERVED,))
    return Tx(2, (txin,), (reward, commitment), 0)
