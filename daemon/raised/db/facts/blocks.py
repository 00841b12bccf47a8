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
    """The hashes of those blocks of the best chain that the record holds, by height."""
    statement = select(block.c.height, block.c.hash)
    return {
        row.height: row.hash for row in await rows_among(conn, statement, block.c.height, heights)
    }


async def add_blocks(conn: AsyncConnection, blocks: Iterable[BlockRef]) -> set[str]:
    """Hold these blocks, whose heights no other block may take; the hashes of those that were held
    without a median time that is known now.
    """
    offered = {one.hash: one for one in blocks}
    columns = select(block.c.hash, block.c.median_time, block.c.prior_median_time)
    held = {row.hash: row for row in await rows_among(conn, columns, block.c.hash, offered)}
    await add(conn, block, [_columns(one) for key, one in offered.items() if key not in held])
    learned = {key for key, row in held.items() if _learns(row, offered[key])}
    for key in sorted(learned):
        one, row = offered[key], held[key]
        times = {
            "median_time": row.median_time if one.median_time is None else one.median_time,
            "prior_median_time": (
                row.prior_median_time if one.prior_median_time is None else one.prior_median_time
            ),
        }
        await conn.execute(block.update().where(block.c.hash == key).values(times))
    return learned


def _learns(row: Row[Any], one: BlockRef) -> bool:
    after = row.median_time is None and one.median_time is not None
    return after or (row.prior_median_time is None and one.prior_median_time is not None)


def _columns(one: BlockRef) -> dict[str, Any]:
    return {
        "hash": one.hash,
        "height": one.height,
        "prev_hash": one.prev_hash,
        "time": one.time,
        "median_time": one.median_time,
        "prior_median_time": one.prior_median_time,
        "header": one.header,
    }


async def drop_blocks_above(conn: AsyncConnection, height: int) -> None:
    """Forget the blocks above this height."""
    await conn.execute(delete(block).where(block.c.height > height))


async def prune_blocks(conn: AsyncConnection, start: int, end: int) -> None:
    """Forget the blocks from `start` up to but without `end` that hold nothing of ours."""
    held = exists().where(tx.c.block_hash == block.c.hash, tx.c.height == block.c.height)
    await conn.execute(delete(block).where(block.c.height >= start, block.c.height < end, ~held))


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
