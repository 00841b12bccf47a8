"""Transactions: their bytes, where they stand, and what they spend."""

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

# How much a sight of a transaction proves; a txid does not cover the witness, so more proof wins.
_STRENGTH = {None: 0, "trust": 1, "agree": 2, "spv": 3, "block": 4}

# If each of so many held all the money there is, their sum would still fit into 64 bits.
_MOST_UNCONFIRMED = 4000

_parsed = lru_cache(maxsize=8192)(parse_tx)


async def put_confirmed(
    conn: AsyncConnection, placed: Sequence[tuple[BlockRef, PlacedTx]], at: int
) -> set[Txid]:
    """Put transactions into their blocks; the ids of those that were not known so before."""
    known = await _standing(conn, [one.tx.txid for _, one in placed])
    rows = []
    for ref, one in placed:
        before = known.get(one.tx.txid)
        if before is None or _says_more(before, ref, one):
            rows.append(_placed_row(ref, one, at if before is None else before.first_seen_at))
    await put(conn, tx, rows)
    await _add_inputs(conn, [one.tx for _, one in placed if one.tx.txid not in known])
    return {row["txid"] for row in rows}


def _says_more(before: Row[Any], ref: BlockRef, one: PlacedTx) -> bool:
    if before.block_hash != ref.hash or before.gone_at is not None:
        return True
    stronger = _STRENGTH[one.proven] - _STRENGTH[before.proven]
    return stronger > 0 or (stronger == 0 and before.siblings is None and one.siblings is not None)


def _placed_row(ref: BlockRef, one: PlacedTx, first_seen_at: int) -> dict[str, Any]:
    return {
        "txid": one.tx.txid,
        "raw": one.tx.serialize(),
        "height": ref.height,
        "block_hash": ref.hash,
        "position": one.position,
        "at": ref.time,
        "siblings": None if one.siblings is None else json.dumps(one.siblings),
        "proven": one.proven,
        "first_seen_at": first_seen_at,
        "gone_at": None,
    }


async def limit_unconfirmed(conn: AsyncConnection, txs: Sequence[Tx]) -> list[Tx]:
    """Those of these unconfirmed transactions that are held, and as many more as there is room.

    Nothing proves them, and what they say they lock is summed.
    """
    known = await _standing(conn, [one.txid for one in txs])
    waiting = select(func.count()).where(tx.c.height.is_(None), tx.c.gone_at.is_(None))
    room = _MOST_UNCONFIRMED - (await conn.scalar(waiting) or 0)
    kept: list[Tx] = []
    for one in txs:
        row = known.get(one.txid)
        adds = row is None or (row.height is None and row.gone_at is not None)
        if adds and room <= 0:
            continue
        room -= adds
        kept.append(one)
    return kept


async def add_unconfirmed(conn: AsyncConnection, txs: Sequence[Tx], at: int) -> set[Txid]:
    """Hold transactions that no block holds; the ids of those that were not known so before."""
    known = await _standing(conn, [one.txid for one in txs])
    new = {one.txid: one for one in txs if one.txid not in known}
    rows = [{"txid": one.txid, "raw": one.serialize(), "first_seen_at": at} for one in new.values()]
    await add(conn, tx, rows)
    await _add_inputs(conn, list(new.values()))
    back = {key for key, row in known.items() if row.height is None and row.gone_at is not None}
    await change_among(conn, update(tx).values(gone_at=None), tx.c.txid, back)
    return new.keys() | back


async def mark_gone(conn: AsyncConnection, txids: Iterable[Txid], at: int) -> set[Txid]:
    """Note that these are nowhere any more; the ids of those that were unconfirmed until now."""
    known = await _standing(conn, txids)
    gone = {key for key, row in known.items() if row.height is None and row.gone_at is None}
    await change_among(conn, update(tx).values(gone_at=at), tx.c.txid, gone)
    return gone


async def unconfirm_above(conn: AsyncConnection, height: int) -> set[Txid]:
    """Take the transactions above this height out of their blocks; their ids."""
    statement = select(tx.c.txid).where(tx.c.height > height)
    found = {row.txid for row in await conn.execute(statement)}
    nowhere = {"height": None, "block_hash": None, "position": None, "at": None}
    unproven = update(tx).values(**nowhere, siblings=None, proven=None)
    await conn.execute(unproven.where(tx.c.height > height))
    return found


async def txids_between(conn: AsyncConnection, low: int, high: int) -> set[Txid]:
    """The ids of the transactions from height `low` to `high`, both included."""
    statement = select(tx.c.txid).where(tx.c.height >= low, tx.c.height <= high)
    return {row.txid for row in await conn.execute(statement)}


async def txids_in(conn: AsyncConnection, hashes: Iterable[str]) -> set[Txid]:
    """The ids of the transactions in these blocks."""
    columns = select(tx.c.txid, tx.c.block_hash)
    heights = select(block.c.height, block.c.hash)
    found: set[Txid] = set()
    for row in await rows_among(conn, heights, block.c.hash, hashes):
        placed = await conn.execute(columns.where(tx.c.height == row.height))
        found |= {one.txid for one in placed if one.block_hash == row.hash}
    return found


async def stored_txs(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, StoredTx]:
    """The transactions with these ids that we hold."""
    statement = select(tx, block.c.prior_median_time).select_from(
        tx.outerjoin(block, block.c.hash == tx.c.block_hash)
    )
    return {row.txid: _held(row) for row in await rows_among(conn, statement, tx.c.txid, txids)}


async def places(
    conn: AsyncConnection, txids: Iterable[Txid]
) -> dict[Txid, tuple[Place | None, bool]]:
    """Where these transactions stand, and whether they are gone."""
    columns = (tx.c.txid, tx.c.height, tx.c.block_hash, tx.c.position, tx.c.at, tx.c.gone_at)
    statement = select(*columns, block.c.prior_median_time).select_from(
        tx.outerjoin(block, block.c.hash == tx.c.block_hash)
    )
    rows = await rows_among(conn, statement, tx.c.txid, txids)
    return {row.txid: (_place(row), row.gone_at is not None) for row in rows}


async def inputs_spending(
    conn: AsyncConnection, txids: Iterable[Txid]
) -> dict[OutPoint, list[tuple[Txid, int]]]:
    """Which inputs of ours spend outputs of these transactions: (txid, vin) by outpoint."""
    found: defaultdict[OutPoint, list[tuple[Txid, int]]] = defaultdict(list)
    for row in await rows_among(conn, select(tx_input), tx_input.c.prev_txid, txids):
        found[OutPoint(row.prev_txid, row.prev_vout)].append((row.txid, row.vin))
    return found


async def parents(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, set[Txid]]:
    """Which transactions that we hold these spend from."""
    source = tx.alias("source")
    statement = (
        select(tx_input.c.txid, tx_input.c.prev_txid)
        .join(source, source.c.txid == tx_input.c.prev_txid)
        .distinct()
    )
    found: defaultdict[Txid, set[Txid]] = defaultdict(set)
    for row in await rows_among(conn, statement, tx_input.c.txid, txids):
        found[row.txid].add(row.prev_txid)
    return found


async def children(conn: AsyncConnection, txids: Iterable[Txid]) -> set[Txid]:
    """Which transactions that we hold spend from these."""
    statement = select(tx_input.c.txid).distinct()
    return {row.txid for row in await rows_among(conn, statement, tx_input.c.prev_txid, txids)}


async def _standing(conn: AsyncConnection, txids: Iterable[Txid]) -> dict[Txid, Row[Any]]:
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
        {"txid": one.txid, "vin": vin, "prev_txid": spent.txid, "prev_vout": spent.vout}
        for one in txs
        if not one.is_coinbase
        for vin, (spent, *_) in enumerate(one.inputs)
    ]
    await add(conn, tx_input, rows)


def _held(row: Row[Any]) -> StoredTx:
    return StoredTx(_parsed(row.raw), _place(row), row.first_seen_at, row.gone_at is not None)


def _place(row: Row[Any]) -> Place | None:
    if row.height is None:
        return None
    return Place(row.height, row.block_hash, row.position, row.at, row.prior_median_time)
