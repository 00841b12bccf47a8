"""Transactions: their bytes, their blocks and proofs, and what they spend."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, change_among, put, rows_among
from raised.db.schema import block, tx, tx_input
from raised.domain.angor.investment_state import Place, StoredTx
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid, parse_tx
from raised.domain.observation import BlockRef, PlacedTx

# How well a transaction is proven. A txid does not cover the witness, so the stronger proof wins.
_STRENGTH = {None: 0, "trust": 1, "agree": 2, "spv": 3, "block": 4}

# If each of so many held all the money there is, their sum would still fit into 64 bits.
_MOST_UNCONFIRMED = 4000

_parsed = lru_cache(maxsize=8192)(parse_tx)


async def put_confirmed(
    conn: AsyncConnection, placed: Sequence[tuple[BlockRef, PlacedTx]], at: int
) -> set[Txid]:
    """Store transactions with their blocks; the ids of those of which that is new."""
    known = await _stored_rows(conn, [tx_in_block.tx.txid for _, tx_in_block in placed])
    rows = []
    for ref, tx_in_block in placed:
        before = known.get(tx_in_block.tx.txid)
        if before is None or _proves_more(before, ref, tx_in_block):
            rows.append(
                _placed_row(ref, tx_in_block, at if before is None else before.first_seen_at)
            )
    await put(conn, tx, rows)
    await _add_inputs(
        conn, [tx_in_block.tx for _, tx_in_block in placed if tx_in_block.tx.txid not in known]
    )
    return {row["txid"] for row in rows}


def _proves_more(before: Row[Any], ref: BlockRef, seen: PlacedTx) -> bool:
    if before.block_hash != ref.hash or before.gone_at is not None:
        return True
    stronger = _STRENGTH[seen.proven] - _STRENGTH[before.proven]
    return stronger > 0 or (stronger == 0 and before.siblings is None and seen.siblings is not None)


def _placed_row(ref: BlockRef, seen: PlacedTx, first_seen_at: int) -> dict[str, Any]:
    return {
        "txid": seen.tx.txid,
        "raw": seen.tx.serialize(),
        "height": ref.height,
        "block_hash": ref.hash,
        "position": seen.position,
        "at": ref.time,
        "siblings": None if seen.siblings is None else json.dumps(seen.siblings),
        "proven": seen.proven,
        "first_seen_at": first_seen_at,
        "gone_at": None,
    }


async def limit_unconfirmed(conn: AsyncConnection, txs: Sequence[Tx]) -> list[Tx]:
    """Those of these unconfirmed transactions that are stored, and as many more as there is room.

    Nothing proves them, and their amounts are summed.
    """
    known = await _stored_rows(conn, [candidate.txid for candidate in txs])
    waiting = select(func.count()).where(tx.c.height.is_(None), tx.c.gone_at.is_(None))
    room = _MOST_UNCONFIRMED - (await conn.scalar(waiting) or 0)
    accepted: list[Tx] = []
    for candidate in txs:
        row = known.get(candidate.txid)
        adds = row is None or (row.height is None and row.gone_at is not None)
        if adds and room <= 0:
            continue
        room -= adds
        accepted.append(candidate)
    return accepted


async def add_unconfirmed(conn: AsyncConnection, txs: Sequence[Tx], at: int) -> set[Txid]:
    """Add transactions that are in no block; the ids of those of which that is new."""
    known = await _stored_rows(conn, [candidate.txid for candidate in txs])
    new = {candidate.txid: candidate for candidate in txs if candidate.txid not in known}
    rows = [
        {"txid": candidate.txid, "raw": candidate.serialize(), "first_seen_at": at}
        for candidate in new.values()
    ]
    await add(conn, tx, rows)
    await _add_inputs(conn, list(new.values()))
    back = {key for key, row in known.items() if row.height is None and row.gone_at is not None}
    await change_among(conn, update(tx).values(gone_at=None), tx.c.txid, back)
    return new.keys() | back


async def mark_gone(conn: AsyncConnection, txids: Iterable[Txid], at: int) -> set[Txid]:
    """Mark unconfirmed transactions as gone from the mempool; the ids of those newly marked."""
    known = await _stored_rows(conn, txids)
    gone = {key for key, row in known.items() if row.height is None and row.gone_at is None}
    await change_among(conn, update(tx).values(gone_at=at), tx.c.txid, gone)
    return gone


async def unconfirm_above(conn: AsyncConnection, height: int) -> set[Txid]:
    """Make the transactions above this height unconfirmed; their ids."""
    statement = select(tx.c.txid).where(tx.c.height > height)
    txids = {row.txid for row in await conn.execute(statement)}
    nowhere = {"height": None, "block_hash": None, "position": None, "at": None}
    unproven = update(tx).values(**nowhere, siblings=None, proven=None)
    await conn.execute(unproven.where(tx.c.height > height))
    return txids


async def txids_between(conn: AsyncConnection, low: int, high: int) -> set[Txid]:
    """The ids of the transactions from height `low` to `high`, both included."""
    statement = select(tx.c.txid).where(tx.c.height >= low, tx.c.height <= high)
    return {row.txid for row in await conn.execute(statement)}


async def txids_in(conn: AsyncConnection, hashes: Iterable[str]) -> set[Txid]:
    """The ids of the transactions in these blocks."""
    columns = select(tx.c.txid, tx.c.block_hash)
    heights = select(block.c.height, block.c.hash)
    txids: set[Txid] = set()
    for row in await rows_among(conn, heights, block.c.hash, hashes):
        placed = await conn.execute(columns.where(tx.c.height == row.height))
        txids |= {tx_row.txid for tx_row in placed if tx_row.block_hash == row.hash}
    return txids


async def stored_txs(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, StoredTx]:
    """Those of these transactions that are stored."""
    statement = select(tx, block.c.prior_median_time).select_from(
        tx.outerjoin(block, block.c.hash == tx.c.block_hash)
    )
    return {
        row.txid: _stored_tx(row) for row in await rows_among(conn, statement, tx.c.txid, txids)
    }


async def inputs_spending(
    conn: AsyncConnection, txids: Iterable[Txid]
) -> dict[OutPoint, list[tuple[Txid, int]]]:
    """Which stored inputs spend outputs of these transactions: (txid, vin) by outpoint."""
    spending: defaultdict[OutPoint, list[tuple[Txid, int]]] = defaultdict(list)
    for row in await rows_among(conn, select(tx_input), tx_input.c.prev_txid, txids):
        spending[OutPoint(row.prev_txid, row.prev_vout)].append((row.txid, row.vin))
    return spending


async def parents(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, set[Txid]]:
    """The stored transactions that these spend from."""
    source = tx.alias("source")
    statement = (
        select(tx_input.c.txid, tx_input.c.prev_txid)
        .join(source, source.c.txid == tx_input.c.prev_txid)
        .distinct()
    )
    sources: defaultdict[Txid, set[Txid]] = defaultdict(set)
    for row in await rows_among(conn, statement, tx_input.c.txid, txids):
        sources[row.txid].add(row.prev_txid)
    return sources


async def children(conn: AsyncConnection, txids: Iterable[Txid]) -> set[Txid]:
    """The stored transactions that spend from these."""
    statement = select(tx_input.c.txid).distinct()
    return {row.txid for row in await rows_among(conn, statement, tx_input.c.prev_txid, txids)}


async def _stored_rows(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, Row[Any]]:
    columns = (
        tx.c.txid,
        tx.c.height,
        tx.c.block_hash,
        tx.c.siblings,
        tx.c.proven,
        tx.c.first_seen_at,
        tx.c.gone_at,
    )
    return {row.txid: row for row in await rows_among(conn, select(*columns), tx.c.txid, txids)}


async def _add_inputs(conn: AsyncConnection, txs: Iterable[Tx]) -> None:
    rows = [
        {"txid": spender.txid, "vin": vin, "prev_txid": spent.txid, "prev_vout": spent.vout}
        for spender in txs
        if not spender.is_coinbase
        for vin, (spent, *_) in enumerate(spender.inputs)
    ]
    await add(conn, tx_input, rows)


def _stored_tx(row: Row[Any]) -> StoredTx:
    return StoredTx(_parsed(row.raw), _place(row), row.first_seen_at, row.gone_at is not None)


def _place(row: Row[Any]) -> Place | None:
    if row.height is None:
        return None
    return Place(row.height, row.block_hash, row.position, row.at, row.prior_median_time)
