"""Blocks: the best chain as far as we need it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add, rows_among
from raised.db.schema import block, tx
from raised.domain.angor.investment_state import Tip
from raised.domain.observation import BlockRef


async def best_block(conn: AsyncConnection) -> BlockRef | None:
    """The tip of the record; None before the first block."""
    row = (await conn.execute(select(block).order_by(block.c.height.desc()).limit(1))).first()
    return None if row is None else block_of(row)


async def highest_up_to(conn: AsyncConnection, height: int) -> BlockRef | None:
    """The highest block of the record that is no higher than this."""
    statement = select(block).where(block.c.height <= height)
    row = (await conn.execute(statement.order_by(block.c.height.desc()).limit(1))).first()
    return None if row is None else block_of(row)


async def hashes_at(conn: AsyncConnection, heights: Iterable[int]) -> dict[int, str]:
    """The hashes of those blocks of the record that have these heights."""
    statement = select(block.c.height, block.c.hash)
    return {
        row.height: row.hash for row in await rows_among(conn, statement, block.c.height, heights)
    }


async def add_blocks(conn: AsyncConnection, blocks: Iterable[BlockRef]) -> set[str]:
    """Add these blocks, whose heights no other block may have; the hashes of those that were stored
    without a median time that is known now.
    """
    offered = {ref.hash: ref for ref in blocks}
    columns = select(block.c.hash, block.c.median_time, block.c.prior_median_time)
    stored = {row.hash: row for row in await rows_among(conn, columns, block.c.hash, offered)}
    await add(conn, block, [_columns(ref) for key, ref in offered.items() if key not in stored])
    completed = {key for key, row in stored.items() if _completes(row, offered[key])}
    for key in sorted(completed):
        ref, row = offered[key], stored[key]
        times = {
            "median_time": row.median_time if ref.median_time is None else ref.median_time,
            "prior_median_time": (
                row.prior_median_time if ref.prior_median_time is None else ref.prior_median_time
            ),
        }
        await conn.execute(block.update().where(block.c.hash == key).values(times))
    return completed


def _completes(row: Row[Any], ref: BlockRef) -> bool:
    after = row.median_time is None and ref.median_time is not None
    return after or (row.prior_median_time is None and ref.prior_median_time is not None)


def _columns(ref: BlockRef) -> dict[str, Any]:
    return {
        "hash": ref.hash,
        "height": ref.height,
        "prev_hash": ref.prev_hash,
        "time": ref.time,
        "median_time": ref.median_time,
        "prior_median_time": ref.prior_median_time,
        "header": ref.header,
    }


async def drop_blocks_above(conn: AsyncConnection, height: int) -> None:
    """Delete the blocks above this height."""
    await conn.execute(delete(block).where(block.c.height > height))


async def prune_blocks(conn: AsyncConnection, start: int, end: int) -> None:
    """Delete the blocks from `start` up to but without `end` in which no transaction of ours is."""
    used = exists().where(tx.c.block_hash == block.c.hash, tx.c.height == block.c.height)
    await conn.execute(delete(block).where(block.c.height >= start, block.c.height < end, ~used))


async def tip_of(conn: AsyncConnection, confirmations: int) -> Tip | None:
    """The tip of the record and what counts below it.

    A median time past never falls along a chain, so where the tip's is not known that of the
    highest block for which it is known is a lower bound.
    """
    best = await best_block(conn)
    if best is None:
        return None
    median_time = best.median_time
    if median_time is None:
        known = select(block.c.median_time).where(block.c.median_time.is_not(None))
        median_time = await conn.scalar(known.order_by(block.c.height.desc()).limit(1))
    return Tip(best.height, best.hash, confirmations, median_time)


def block_of(row: Row[Any]) -> BlockRef:
    """The block of a row."""
    return BlockRef(
        row.height,
        row.hash,
        row.prev_hash,
        row.time,
        row.header,
        row.median_time,
        row.prior_median_time,
    )
