"""What explorers say: blocks, transactions in them and outside, and that blocks are gone.

Every transaction is kept by structure alone; what it means is decided afterwards, from the whole
record. A block that contradicts the record rolls it back, so facts never stand on two chains.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import blocks, coins, cursors, foundings, projects, txs
from raised.db.facts.coins import Coin
from raised.db.items.items import reorg_item
from raised.domain.angor.founding import Founding, founding_of
from raised.domain.angor.watch import CoinKind, coins_made
from raised.domain.bitcoin.bech32 import encode
from raised.domain.bitcoin.script import is_p2wpkh
from raised.domain.bitcoin.tx import OutPoint, Tx, Txid
from raised.domain.change import Change
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    HistorySeen,
    MempoolSeen,
    PlacedTx,
    RolledBack,
    TipSeen,
)
from raised.record.dirty import DirtySet, Policy
from raised.record.relay_facts import check_named_events


async def apply_block(
    conn: AsyncConnection, seen: BlockSeen, policy: Policy, dirty: DirtySet
) -> None:
    """Put a block on the record's chain, with its transactions."""
    await _extend(conn, seen.block, policy, dirty)
    placed = [(seen.block, one) for one in seen.txs]
    await _put_txs(conn, placed, policy, dirty, seen.at)


async def apply_tip(conn: AsyncConnection, seen: TipSeen, policy: Policy, dirty: DirtySet) -> None:
    """Let the record's chain end here; after a gap every history has to be read anew."""
    for block in (*seen.below, seen.block):
        await _extend(conn, block, policy, dirty)
    if seen.gap:
        await projects.reset_indexed_heights(conn)


async def apply_history(
    conn: AsyncConnection, seen: HistorySeen, policy: Policy, dirty: DirtySet
) -> None:
    """Keep everything confirmed that concerns a project.

    A history of another chain than the record's is left alone, and of one that names a block of
    another chain the rest is kept: both are asked for again.
    """
    held = await blocks.hashes_at(conn, [seen.tip.height, *(ref.height for ref, _ in seen.txs)])
    if held.get(seen.tip.height, seen.tip.hash) != seen.tip.hash:
        return
    placed = [
        (ref, one)
        for ref, one in sorted(seen.txs, key=lambda pair: (pair[0].height, pair[1].position))
        if held.get(ref.height, ref.hash) == ref.hash and ref.height <= seen.tip.height
    ]
    best = await blocks.best_block(conn)
    if best is None or best.height < seen.tip.height:
        await _extend(conn, seen.tip, policy, dirty)
    await _add_blocks(conn, [ref for ref, _ in placed], dirty)
    await projects.add_projects(conn, [seen.project_id], seen.at)
    dirty.projects.add(seen.project_id)
    await _put_txs(conn, placed, policy, dirty, seen.at)
    if all(held.get(ref.height, ref.hash) == ref.hash for ref, _ in seen.txs):
        await projects.put_indexed_height(conn, seen.project_id, seen.tip.height)


async def apply_rollback(conn: AsyncConnection, seen: RolledBack, dirty: DirtySet) -> None:
    """Take back the blocks above the common ancestor."""
    held = await blocks.hashes_at(conn, [seen.to.height])
    keep = seen.to.height
    if held.get(keep, seen.to.hash) != seen.to.hash:
        keep -= 1  # the ancestor itself is another one than ours
    await _roll_back(conn, keep, (seen.to.height, seen.to.hash), dirty)
    await _add_blocks(conn, [seen.to], dirty)


async def rewind_to(conn: AsyncConnection, height: int, dirty: DirtySet) -> None:
    """Take back every block above this height, however deep; they are read again."""
    left = await blocks.highest_up_to(conn, height)
    await _roll_back(
        conn, height, (height, None) if left is None else (left.height, left.hash), dirty
    )


async def apply_mempool(
    conn: AsyncConnection, seen: MempoolSeen, policy: Policy, dirty: DirtySet
) -> None:
    """Keep unconfirmed transactions, and that others are nowhere any more."""
    found = await txs.limit_unconfirmed(conn, _parents_first(seen.txs))
    dirty.txids |= await txs.add_unconfirmed(conn, found, seen.at)
    await _read(conn, found, policy, dirty)
    dirty.txids |= await txs.mark_gone(conn, seen.gone, seen.at)
    await cursors.advance_cursor(conn, "mempool", seen.explorer, seen.at, seen.whole_at)


async def _extend(conn: AsyncConnection, block: BlockRef, policy: Policy, dirty: DirtySet) -> None:
    """Make room for a block of the best chain, and hold it."""
    best = await blocks.best_block(conn)
    if best is not None:
        held = await blocks.hashes_at(conn, [block.height, block.height - 1])
        parent = (block.height - 1, block.prev_hash)
        if held.get(block.height - 1, block.prev_hash) != block.prev_hash:
            await _roll_back(conn, block.height - 2, parent, dirty)
        elif held.get(block.height, block.hash) != block.hash:
            await _roll_back(conn, block.height - 1, parent, dirty)
    await _add_blocks(conn, [block], dirty)
    if best is None or block.height > best.height:
        start = 0 if best is None else best.height - policy.finality
        await blocks.prune_blocks(conn, start, block.height - policy.finality)


async def _roll_back(
    conn: AsyncConnection, keep: int, ancestor: tuple[int, str | None], dirty: DirtySet
) -> None:
    """Take back the blocks above `keep`. `ancestor`: height and hash, None when it is not kept."""
    best = await blocks.best_block(conn)
    if best is None or best.height <= keep:
        return
    dirty.txids |= await txs.unconfirm_above(conn, keep)
    await blocks.drop_blocks_above(conn, keep)
    item = reorg_item((best.height, best.hash), (ancestor[0], ancestor[1] or ""))
    dirty.add_change(Change("reorg", "chain", best.hash, reference=best.hash), item)


async def _add_blocks(conn: AsyncConnection, refs: Sequence[BlockRef], dirty: DirtySet) -> None:
    learned = await blocks.add_blocks(conn, refs)
    dirty.txids |= await txs.txids_in(conn, learned)


async def _put_txs(
    conn: AsyncConnection,
    placed: Sequence[tuple[BlockRef, PlacedTx]],
    policy: Policy,
    dirty: DirtySet,
    at: int,
) -> None:
    dirty.txids |= await txs.put_confirmed(conn, placed, at)
    await _read(conn, [one.tx for _, one in placed], policy, dirty)


async def _read(
    conn: AsyncConnection, found: Sequence[Tx], policy: Policy, dirty: DirtySet
) -> None:
    """Keep what transactions show by structure alone: whom they found and pay, what is to watch."""
    founded = [one for tx in found if (one := founding_of(tx, policy.network)) is not None]
    await projects.add_projects(conn, [one.project_id for one in founded], dirty.at)
    await foundings.add_foundings(conn, founded)
    await _name_events(conn, founded, policy)
    paying = await _payments(conn, found)
    before = await coins.projects_paid_by(conn, paying)
    new = [
        (txid, one)
        for txid, paid in paying.items()
        for one in paid
        if one not in before.get(txid, ())
    ]
    await coins.add_payments(conn, new)
    dirty.txids |= {txid for txid, _ in new}
    await _watch(conn, found, paying)


async def _name_events(conn: AsyncConnection, founded: Iterable[Founding], policy: Policy) -> None:
    named = [one.event_id for one in founded if one.event_id is not None]
    await check_named_events(conn, named, policy)


async def _payments(conn: AsyncConnection, found: Sequence[Tx]) -> dict[Txid, list[str]]:
    """Which known projects each transaction pays, in the order of its outputs."""
    addressed = {tx.txid: list(dict.fromkeys(_addressed(tx))) for tx in found}
    known = await projects.known_projects(conn, {one for ids in addressed.values() for one in ids})
    paying = {txid: [one for one in ids if one in known] for txid, ids in addressed.items()}
    return {txid: ids for txid, ids in paying.items() if ids}


def _addressed(tx: Tx) -> Iterable[str]:
    for _, script in tx.outputs:
        if is_p2wpkh(script):
            yield encode("angor", 0, script[2:])


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a coin that is spent belongs to."""

    kind: CoinKind
    project_id: str
    investment_txid: Txid


async def _watch(conn: AsyncConnection, found: Sequence[Tx], paying: dict[Txid, list[str]]) -> None:
    spent = {txin.outpoint.txid for tx in found for txin in tx.inputs}
    known = await coins.coins_of(conn, spent)
    origins = {
        key: _Origin(one.kind, one.project_id, one.investment_txid) for key, one in known.items()
    }
    new: list[Coin] = []
    for tx in found:
        for coin, kind in _coins_of(tx, paying.get(tx.txid, []), origins):
            origins[coin.outpoint] = _Origin(kind, coin.project_id, coin.investment_txid)
            new.append(coin)
    await coins.add_coins(conn, new)


def _coins_of(
    tx: Tx, paid: Sequence[str], origins: dict[OutPoint, _Origin]
) -> Iterable[tuple[Coin, CoinKind]]:
    beside = {
        vin: origins[txin.outpoint]
        for vin, txin in enumerate(tx.inputs)
        if txin.outpoint in origins
    }
    spent = [(vin, one.kind) for vin, one in beside.items()]
    for new in coins_made(tx, pays_project=bool(paid), spent=spent):
        outpoint = OutPoint(tx.txid, new.vout)
        if new.kind is CoinKind.STAGE:
            owner, origin = paid[0], tx.txid
        else:
            owner, origin = beside[new.vout].project_id, beside[new.vout].investment_txid
        yield Coin(outpoint, owner, origin, new.value, new.script_pubkey), new.kind


def _parents_first(found: Sequence[Tx]) -> list[Tx]:
    """Transactions in an order in which each comes after those it spends from."""
    by_id = {tx.txid: tx for tx in found}
    spent = {txid: [txin.outpoint.txid for txin in tx.inputs] for txid, tx in by_id.items()}
    # What is spent may be none of these; hashes make no circles.
    return [by_id[txid] for txid in TopologicalSorter(spent).static_order() if txid in by_id]
