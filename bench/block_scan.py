"""Reading a full block for what concerns us, against the least that reading it can cost.

Both parse the same 4 MWU with every txid and wtxid. Ours (`read_and_scan`, all that following a
block does to its bytes) then proves the block by its header, merkle root and witness commitment
and looks for 10,000 projects and the coins of their investments; the reference does nothing else.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Final

from raised.chain.block_scan import WatchSet, read_and_scan
from raised.domain.angor.founding import founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.angor.network import network_named
from raised.domain.angor.watched_outputs import CoinKind
from raised.domain.bitcoin.bech32 import encode
from raised.domain.bitcoin.block import Header, meets_target, merkle_root, parse_block
from raised.domain.bitcoin.hashes import sha256, sha256d
from raised.domain.bitcoin.script import OP_RETURN, p2tr, p2wpkh
from raised.domain.bitcoin.tx import (
    COINBASE_TXID,
    OutPoint,
    Tx,
    TxIn,
    TxOut,
    compact_size,
    raw_from_hex,
)

FULL: Final = 4_000_000
PROJECTS: Final = 10_000
COINS: Final = 30_000
INVESTMENTS = SPENDS = 20
STAGES: Final = 3
ROUNDS: Final = 9
FINAL: Final = 0xFFFFFFFF
EASY_BITS: Final = 0x207FFFFF


def project_id(number: int) -> str:
    """The identifier of a made-up project."""
    return encode("angor", 0, some_hash("project", number)[:20])


def some_hash(what: str, number: int) -> bytes:
    """Thirty-two bytes."""
    return sha256(f"{what} {number}".encode())


def watched() -> WatchSet:
    """Every project, and some coins of each."""
    watch_set = WatchSet(project_script)
    for number in range(PROJECTS):
        watch_set.add_project(project_id(number))
    for number in range(COINS):
        txid = some_hash("investment", number // STAGES).hex()
        watch_set.add_coin(OutPoint(txid, 2 + number % STAGES), CoinKind.STAGE)
    return watch_set


def payment(number: int, *outputs: TxOut, spends: OutPoint | None = None) -> Tx:
    """What most transactions are: one input with a signature and a key, these outputs."""
    outpoint = spends or OutPoint(some_hash("coin", number).hex(), number % 3)
    signature = b"\x30" + some_hash("r", number) + some_hash("s", number) + bytes(6)
    key = b"\x02" + some_hash("key", number)
    change = TxOut(50_000 + number, p2wpkh(some_hash("change", number)[:20]))
    return Tx(2, (TxIn(outpoint, b"", FINAL, (signature, key)),), (*outputs, change), 0)


def invested(number: int) -> Tx:
    """An investment by its looks, of one of the projects."""
    fee = TxOut(1_000, project_script(project_id(number * 7)))
    mark = TxOut(0, bytes([OP_RETURN, 33, 2]) + some_hash("investor", number))
    stages = (TxOut(30_000, p2tr(some_hash("stage", 10 * number + n))) for n in range(STAGES))
    return payment(number, fee, mark, *stages)


def transactions() -> list[Tx]:
    """As many as fit, those that concern us among them."""
    room = FULL - 4 * (80 + 3) - 1_000  # the header, the count and the coinbase
    txs: list[Tx] = []
    for number in count():
        tx = _one(number)
        room -= tx.weight
        if room < 0:
            return txs
        txs.append(tx)
    raise AssertionError("count() does not end")


def _one(number: int) -> Tx:
    match number % 300:
        case 7 if number < 300 * INVESTMENTS:
            return invested(number // 300)
        case 8 if number < 300 * SPENDS:
            coin = OutPoint(some_hash("investment", number // 300).hex(), 2)
            return payment(number, spends=coin)
        case _:
            return payment(number, TxOut(10_000, p2wpkh(some_hash("to", number)[:20])))


def coinbase(txs: list[Tx]) -> Tx:
    """The first transaction, which commits to the witnesses of the others."""
    root = merkle_root([bytes(32), *(raw_from_hex(tx.wtxid) for tx in txs)])
    commitment = bytes.fromhex("6a24aa21a9ed") + sha256d(root + bytes(32))
    outpoint = OutPoint(COINBASE_TXID, 0xFFFFFFFF)
    outputs = (TxOut(5_000_000_000, p2wpkh(bytes(20))), TxOut(0, commitment))
    return Tx(2, (TxIn(outpoint, b"\x51\x51", FINAL, (bytes(32),)),), outputs, 0)


def full_block() -> tuple[bytes, str]:
    """A block that proves itself on regtest, and its hash."""
    txs = transactions()
    txs.insert(0, coinbase(txs))
    root = merkle_root([raw_from_hex(tx.txid) for tx in txs])[::-1].hex()
    headers = (Header(4, "00" * 32, root, 1_770_000_000, EASY_BITS, nonce) for nonce in count())
    header = next(filter(meets_target, headers))
    body = b"".join(tx.serialize() for tx in txs)
    return header.serialize() + compact_size(len(txs)) + body, header.hash


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, in processor time: the machine may be busy."""
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure in turns and print one line."""
    raw, block_hash = full_block()
    looked_for = watched()
    test = partial(founding_of, network=network_named("regtest"))

    def ours() -> int:
        return len(read_and_scan(raw, block_hash, looked_for, test).txs)

    def bare() -> int:
        return sum(bool(tx.txid and tx.wtxid) for tx in parse_block(raw).txs)

    txs = bare()
    assert ours() == INVESTMENTS + SPENDS
    rounds = [(seconds(ours), seconds(bare)) for _ in range(ROUNDS)]
    value, reference = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        json.dumps(
            {
                "name": "scan of a full block",
                "value": round(value * 1000, 1),
                "unit": f"ms for 4 MWU, {txs} transactions, {PROJECTS} projects watched",
                "ratio": round(statistics.median(bare / own for own, bare in rounds), 3),
                "reference": f"bare parse with txids and wtxids: {reference * 1000:.1f} ms",
            }
        )
    )


if __name__ == "__main__":
    main()
