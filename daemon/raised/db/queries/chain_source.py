"""What the chain source asks of the record: its chain, and what to look for in blocks."""

from collections.abc import AsyncIterator, Iterable

from sqlalchemy import and_, case, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import blocks
from raised.db.facts.blocks import block_of
from raised.db.schema import block, coin, investment, project, tx, tx_input
from raised.domain.angor.watched_outputs import CoinKind, kind_of_coin
from raised.domain.bitcoin.tx import OutPoint, Txid
from raised.domain.observation import BlockRef


async def hashes_at(conn: AsyncConnection, heights: Iterable[int]) -> dict[int, str]:
    """The hashes of those blocks of the record that have these heights."""
    return await blocks.hashes_at(conn, heights)


async def recent_blocks(conn: AsyncConnection, count: int) -> tuple[BlockRef, ...]:
    """The highest blocks of the record, newest first."""
    statement = select(block).order_by(block.c.height.desc()).limit(count)
    return tuple(block_of(row) for row in await conn.execute(statement))


async def all_projects(conn: AsyncConnection) -> tuple[str, ...]:
    """Every identifier that the record knows."""
    return tuple(await conn.scalars(select(project.c.id).order_by(project.c.id)))


async def final_height(conn: AsyncConnection, finality: int) -> int:
    """The height at and below which no reorg is expected; -1 before the first block."""
    tip = await blocks.best_block(conn)
    return tip.height - finality if tip is not None else -1


async def watched_coins(
    conn: AsyncConnection, final_height: int
) -> AsyncIterator[tuple[OutPoint, CoinKind]]:
    """The coins to watch, with their kinds: all but those spent at or below this height."""
    spends = and_(tx_input.c.prev_txid == coin.c.txid, tx_input.c.prev_vout == coin.c.vout)
    spent = exists().where(spends, tx.c.txid == tx_input.c.txid, tx.c.height <= final_height)
    statement = select(coin.c.txid, coin.c.vout, coin.c.script_pubkey).where(~spent)
    async with conn.stream(statement) as rows:
        async for row in rows:
            yield OutPoint(row.txid, row.vout), kind_of_coin(row.script_pubkey)


async def unindexed_projects(conn: AsyncConnection) -> tuple[str, ...]:
    """Projects whose address history was never read, those with a founding transaction first."""
    promise = case(
        (project.c.status.in_(("confirmed", "committed", "event_missing")), 0),
        (project.c.status.in_(("announced", "hidden")), 1),
        else_=2,
    )
    statement = (
        select(project.c.id)
        .where(project.c.indexed_height.is_(None))
        .order_by(promise, project.c.first_seen_at, project.c.id)
    )
    return tuple(await conn.scalars(statement))


async def unconfirmed_txids(conn: AsyncConnection) -> set[Txid]:
    """The ids of the transactions that no block holds and that are not gone."""
    statement = select(tx.c.txid).where(tx.c.height.is_(None), tx.c.gone_at.is_(None))
    return {row.txid for row in await conn.execute(statement)}


async def active_projects(conn: AsyncConnection, now: int, limit: int) -> tuple[str, ...]:
    """Projects whose unconfirmed transactions matter most: open ones, then the lately used."""
    newest = (
        select(func.max(investment.c.at))
        .where(investment.c.project_id == project.c.id)
        .scalar_subquery()
    )
    started = and_(project.c.start_at <= now, project.c.type.is_not(None))
    open_now = and_(started, or_(project.c.end_at.is_(None), project.c.end_at >= now))
    statement = (
        select(project.c.id)
        .where(project.c.status.in_(("confirmed", "committed", "event_missing", "announced")))
        .order_by(
            case((open_now, 0), else_=1),
            case((project.c.status == "announced", 1), else_=0),
            func.coalesce(newest, 0).desc(),
            project.c.id,
        )
        .limit(limit)
    )
    return tuple(await conn.scalars(statement))
