"""Facts of the chain: blocks, transactions in them and in the mempool, and reorgs.

Transactions are stored by their structure alone; what they mean is recomputed afterwards, from the
whole record. A block that contradicts the record rolls it back, so it never holds two chains.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts import blocks, coins, cursors, foundings, marks, projects, txs
from raised.db.facts.coins import Coin
from raised.db.items.change_item import Block, reorg_item
from raised.domain.angor.founding import founding_of
from raised.domain.angor.watched_outputs import CoinKind, coins_made
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
from raised.record.dirty_set import DirtySet, Policy
from raised.record.relay_facts import check_named_events


async def apply_block(
    conn: AsyncConnection, seen: BlockSeen, policy: Policy, dirty: DirtySet
) -> None:
    """Add a block to the record's chain, with its transactions."""
    await _extend(conn, seen.block, policy, dirty)
    placed = [(seen.block, tx) for tx in seen.txs]
    await _put_txs(conn, placed, policy, dirty, seen.at)


async def apply_tip(conn: AsyncConnection, seen: TipSeen, policy: Policy, dirty: DirtySet) -> None:
    """Make this the tip of the record's chain; after a gap every history must be read again."""
    for block in (*seen.below, seen.block):
        await _extend(conn, block, policy, dirty)
    if seen.gap:
        await projects.reset_indexed_heights(conn)
        await marks.put_gap(conn, seen.at)


async def apply_history(
    conn: AsyncConnection, seen: HistorySeen, policy: Policy, dirty: DirtySet
) -> None:
    """Store everything confirmed that concerns a project.

    A history of another chain than the record's is ignored, and of one that names a block of
    another chain only the rest is stored: both are asked for again.
    """
    heights = [seen.tip.height, *(ref.height for ref, _ in seen.txs)]
    hashes = await blocks.hashes_at(conn, heights)
    if hashes.get(seen.tip.height, seen.tip.hash) != seen.tip.hash:
        return
    placed = [
        (ref, tx)
        for ref, tx in sorted(seen.txs, key=lambda pair: (pair[0].height, pair[1].position))
        if hashes.get(ref.height, ref.hash) == ref.hash and ref.height <= seen.tip.height
    ]
    best = await blocks.best_block(conn)
    if best is None or best.height < seen.tip.height:
        await _extend(conn, seen.tip, policy, dirty)
    await _add_blocks(conn, [ref for ref, _ in placed], dirty)
    await projects.add_projects(conn, [seen.project_id], seen.at)
    dirty.projects.add(seen.project_id)
    await _put_txs(conn, placed, policy, dirty, seen.at)
    if seen.whole and all(hashes.get(ref.height, ref.hash) == ref.hash for ref, _ in seen.txs):
        await projects.put_indexed_height(conn, seen.project_id, seen.tip.height)


async def apply_rollback(conn: AsyncConnection, seen: RolledBack, dirty: DirtySet) -> None:
    """Take back the blocks above the common ancestor."""
    hashes = await blocks.hashes_at(conn, [seen.to.height])
    keep = seen.to.height
    if hashes.get(keep, seen.to.hash) != seen.to.hash:
        keep -= 1  # the record has another block at the ancestor's height
    await _roll_back(conn, keep, (seen.to.height, seen.to.hash), dirty)
    await _add_blocks(conn, [seen.to], dirty)


async def rewind_to(conn: AsyncConnection, height: int, dirty: DirtySet) -> None:
    """Take back every block above this height, however deep; they are read again."""
    highest = await blocks.highest_up_to(conn, height)
    await _roll_back(
        conn, height, (height, None) if highest is None else (highest.height, highest.hash), dirty
    )


async def apply_mempool(
    conn: AsyncConnection, seen: MempoolSeen, policy: Policy, dirty: DirtySet
) -> None:
    """Store unconfirmed transactions, and which others are neither there nor in a block."""
    # Parents first: where there is no room for all, those without stored parents mean nothing.
    accepted = await txs.limit_unconfirmed(conn, _parents_first(seen.txs))
    dirty.txids |= await txs.add_unconfirmed(conn, accepted, seen.at)
    await _add_structure(conn, accepted, policy, dirty)
    dirty.txids |= await txs.mark_gone(conn, seen.gone, seen.at)
    await cursors.advance_cursor(conn, "mempool", seen.explorer, seen.at, seen.whole_at)


async def _extend(conn: AsyncConnection, block: BlockRef, policy: Policy, dirty: DirtySet) -> None:
    """Add a block of the best chain; what contradicts it is rolled back first."""
    best = await blocks.best_block(conn)
    if best is not None:
        hashes = await blocks.hashes_at(conn, [block.height, block.height - 1])
        parent = (block.height - 1, block.prev_hash)
        if hashes.get(block.height - 1, block.prev_hash) != block.prev_hash:
            await _roll_back(conn, block.height - 2, parent, dirty)
        elif hashes.get(block.height, block.hash) != block.hash:
            await _roll_back(conn, block.height - 1, parent, dirty)
    await _add_blocks(conn, [block], dirty)
    if best is None or block.height > best.height:
        # No reorg goes below finality, so older blocks without our transactions are not needed.
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
    item = reorg_item(Block(best.height, best.hash), Block(ancestor[0], ancestor[1] or ""))
    dirty.add_change(Change("reorg", "chain", best.hash, reference=best.hash), item)


async def _add_blocks(conn: AsyncConnection, refs: Sequence[BlockRef], dirty: DirtySet) -> None:
    """Add blocks; penalties mature by median times, so a block that has one only now matters."""
    completed = await blocks.add_blocks(conn, refs)
    dirty.txids |= await txs.txids_in(conn, completed)


async def _put_txs(
    conn: AsyncConnection,
    placed: Sequence[tuple[BlockRef, PlacedTx]],
    policy: Policy,
    dirty: DirtySet,
    at: int,
) -> None:
    dirty.txids |= await txs.put_confirmed(conn, placed, at)
    await _add_structure(conn, [tx.tx for _, tx in placed], policy, dirty)


async def _add_structure(
    conn: AsyncConnection, new: Sequence[Tx], policy: Policy, dirty: DirtySet
) -> None:
    """Store what transactions show by structure alone: foundings, payments, coins to watch."""
    await _add_foundings(conn, new, policy, dirty)
    paying = await _payments(conn, new)
    known = await coins.projects_paid_by(conn, paying)
    payments = [
        (txid, project_id)
        for txid, project_ids in paying.items()
        for project_id in project_ids
        if project_id not in known.get(txid, ())
    ]
    await coins.add_payments(conn, payments)
    dirty.txids |= {txid for txid, _ in payments}
    await _watch_coins(conn, new, paying)


async def _add_foundings(
    conn: AsyncConnection, new: Sequence[Tx], policy: Policy, dirty: DirtySet
) -> None:
    candidates = [founding_of(tx, policy.network) for tx in new]
    found = [founding for founding in candidates if founding is not None]
    await projects.add_projects(conn, [founding.project_id for founding in found], dirty.at)
    await foundings.add_foundings(conn, found)
    named = [founding.event_id for founding in found if founding.event_id is not None]
    await check_named_events(conn, named, policy)


async def _payments(conn: AsyncConnection, new: Sequence[Tx]) -> dict[Txid, list[str]]:
    """Which known projects each transaction pays, in the order of its outputs."""
    possible = {tx.txid: list(dict.fromkeys(_identifiers(tx))) for tx in new}
    every = {project_id for ids in possible.values() for project_id in ids}
    known = await projects.known_projects(conn, every)
    paying = {
        txid: [project_id for project_id in ids if project_id in known]
        for txid, ids in possible.items()
    }
    return {txid: ids for txid, ids in paying.items() if ids}


def _identifiers(tx: Tx) -> Iterable[str]:
    """The project identifiers that the outputs would pay, if there are such projects."""
    for _, script in tx.outputs:
        if is_p2wpkh(script):
            yield encode("angor", 0, script[2:])


@dataclass(frozen=True, slots=True)
class _Origin:
    """To what a coin that is spent belongs."""

    kind: CoinKind
    project_id: str
    investment_txid: Txid


async def _watch_coins(
    conn: AsyncConnection, new: Sequence[Tx], paying: dict[Txid, list[str]]
) -> None:
    """Watch the stage outputs of what pays a project, and the penalty outputs of what spends them.

    `new` comes parents first, so that a spender finds the coins of a parent beside it.
    """
    spent = {txin.outpoint.txid for tx in new for txin in tx.inputs}
    origins = {
        outpoint: _Origin(coin.kind, coin.project_id, coin.investment_txid)
        for outpoint, coin in (await coins.coins_of(conn, spent)).items()
    }
    watched: list[Coin] = []
    for tx in new:
        for coin, kind in _coins_of(tx, paying.get(tx.txid, []), origins):
            origins[coin.outpoint] = _Origin(kind, coin.project_id, coin.investment_txid)
            watched.append(coin)
    await coins.add_coins(conn, watched)


def _coins_of(
    tx: Tx, paid: Sequence[str], origins: dict[OutPoint, _Origin]
) -> Iterable[tuple[Coin, CoinKind]]:
    spent = {
        vin: origins[txin.outpoint]
        for vin, txin in enumerate(tx.inputs)
        if txin.outpoint in origins
    }
    kinds = [(vin, origin.kind) for vin, origin in spent.items()]
    for new in coins_made(tx, pays_project=bool(paid), spent=kinds):
        outpoint = OutPoint(tx.txid, new.vout)
        if new.kind is CoinKind.STAGE:
            owner, investment = paid[0], tx.txid
        else:  # a penalty output has the number of the input that it comes from
            owner, investment = spent[new.vout].project_id, spent[new.vout].investment_txid
        yield Coin(outpoint, owner, investment, new.value, new.script_pubkey), new.kind


def _parents_first(unordered: Sequence[Tx]) -> list[Tx]:
    """The transactions, each after those it spends from."""
    by_id = {tx.txid: tx for tx in unordered}
    spent = {txid: [txin.outpoint.txid for txin in tx.inputs] for txid, tx in by_id.items()}
    # What is spent may be none of these; hashes make no circles.
    return [by_id[txid] for txid in TopologicalSorter(spent).static_order() if txid in by_id]
