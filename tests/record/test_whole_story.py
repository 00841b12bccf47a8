"""The simnet's whole story, told to the writer by a source that misses nothing."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.chain.block_scan import WatchSet, add_relevant, scan_block
from raised.db.audit.check import differences
from raised.db.engine import reading, transact
from raised.db.queries import chain_source, summary
from raised.db.queries.sums import Scope
from raised.domain.angor.founding import Founding, founding_of
from raised.domain.angor.identifier import project_script
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.tx import Tx
from raised.domain.event import event_from_json
from raised.domain.observation import (
    BlockRef,
    BlockSeen,
    EventsSeen,
    HistorySeen,
    MempoolSeen,
    Observation,
    PlacedTx,
    RolledBack,
    TipSeen,
)
from raised.record import Policy, apply_observations
from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.wallet import Wallet, fund
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.story import oracle
from raised_simnet.story.player import Player, chain_start
from raised_simnet.story.steps import Mine, Publish, Reorganise, Step
from raised_simnet.story.stories import full_story

START = 1768435200  # 2026-01-15
NETWORK = network_named("regtest")
POLICY = Policy(NETWORK, confirmations=1, finality=100)


def founding(tx: Tx) -> Founding | None:
    return founding_of(tx, NETWORK)


class Witness:
    """Turns what happens on the chain into observations."""

    def __init__(self, chain: RegtestChain) -> None:
        self.chain = chain
        self.watched = WatchSet(project_script)
        self.seen = [chain.tip_hash]
        self.now = START

    def ref(self, stored: StoredBlock) -> BlockRef:
        prior = self.chain.archive.blocks.get(stored.prev_hash)
        return BlockRef(
            stored.height,
            stored.hash,
            stored.prev_hash,
            stored.time,
            stored.block.header.serialize(),
            stored.median_time,
            prior.median_time if prior else None,
        )

    def start(self) -> TipSeen:
        return TipSeen(self.ref(self.chain.tip), "explorer", self.now)

    def after(self, step: Step, known: tuple[str, ...]) -> list[Observation]:
        """What there is to see after a step, by somebody who knows these projects."""
        self.now += 1
        for project_id in known:
            self.watched.add_project(project_id)
        match step:
            case Publish():
                event = event_from_json(step.event)
                return [EventsSeen("wss://relay", self.now, (event,))]
            case Mine() | Reorganise():
                return self._blocks()
            case _:
                return []

    def _blocks(self) -> list[Observation]:
        best = set(self.chain.best)
        rolled: list[Observation] = []
        if self.seen[-1] not in best:
            while self.seen[-1] not in best:
                self.seen.pop()
            to = self.ref(self.chain.archive.blocks[self.seen[-1]])
            rolled.append(RolledBack(to, self.ref(self.chain.tip), "explorer", self.now))
        fork = self.chain.archive.blocks[self.seen[-1]].height
        new = [self.chain.block_at(h) for h in range(fork + 1, self.chain.height + 1)]
        self.seen.extend(stored.hash for stored in new)
        return rolled + [
            BlockSeen(
                self.ref(stored),
                self._scan(stored, self.watched),
                "explorer",
                self.now,
            )
            for stored in new
        ]

    def _scan(self, stored: StoredBlock, watched: WatchSet) -> tuple[PlacedTx, ...]:
        scanned = scan_block(stored.block, watched, founding)
        watched.add_all(scanned.added)
        return scanned.txs

    def history(self, project_id: str) -> HistorySeen:
        """All that concerns one project, as an address history would tell it."""
        alone = WatchSet(project_script)
        alone.add_project(project_id)
        found: list[tuple[BlockRef, PlacedTx]] = []
        for block_hash in self.chain.best:
            stored = self.chain.archive.blocks[block_hash]
            placed = self._scan(stored, alone)
            self._scan(stored, self.watched)  # its coins are followed from here on
            found += [(self.ref(stored), one) for one in placed]
        tip = self.ref(self.chain.tip)
        return HistorySeen(project_id, tuple(found), tip, "explorer", self.now)

    def mempool(self, known: tuple[str, ...], held: set[str]) -> MempoolSeen:
        """What waits, of these projects; what was held and is nowhere."""
        waiting = [tx for tx in self.chain.mempool if add_relevant(tx, self.watched, founding)]
        here = {tx.txid for tx in self.chain.mempool}
        gone = tuple(t for t in held if t not in here and self.chain.height_of(t) is None)
        return MempoolSeen(known, tuple(waiting), gone, "explorer", self.now)


async def nobody(event: Event, relays: tuple[int, ...] | None) -> None:
    """Nobody listens."""


async def shown(engine: AsyncEngine) -> dict[str, Any]:
    """The figures of the summary that the record answers for."""
    async with reading(engine) as conn:
        totals = await summary.angor_totals(conn)
        investors = await summary.count_investors(conn)
        return {
            "projects": msgspec.to_builtins(await summary.project_counts(conn)),
            "median": await summary.median_contribution(conn, Scope()),
            "raised_sats": totals.raised,
            "returned_sats": totals.returned,
            "net_sats": totals.net,
            "locked_sats": totals.locked,
            "claimed_sats": totals.claimed,
            "unknown_sats": totals.unknown,
            "in_penalty_sats": totals.in_penalty,
            "penalty_released_sats": totals.penalty_released,
            "unconfirmed_sats": totals.unconfirmed,
            "investments": totals.investments,
            "investors": investors,
            "rejected_investments": totals.rejected_investments,
        }


def wanted(expected: dict[str, Any]) -> dict[str, Any]:
    return {
        "projects": expected["projects"],
        "median": expected["totals"]["median_contribution_sats"],
        **expected["angor"],
    }


@pytest.mark.parametrize(("seed", "batch"), [(1, 1), (2, 7), (3, 32)])
async def test_the_record_shows_what_the_actors_did(
    writer: AsyncEngine, reader: AsyncEngine, tmp_path: Path, seed: int, batch: int
) -> None:
    story = full_story(seed, START)
    (tmp_path / "chain").mkdir()
    chain = RegtestChain(tmp_path / "chain", chain_start(story))
    dice = random.Random(seed)
    try:
        miner = Wallet(chain, "miner")
        fund(chain, miner)
        player = Player(chain, story, nobody)
        player.prepare(miner)
        witness = Witness(chain)
        waiting: list[Observation] = [witness.start()]
        for step in story.steps:
            await player.perform(step)
            async with reading(reader) as conn:
                known = await chain_source.all_projects(conn)
            waiting += witness.after(step, known)
            if len(waiting) >= batch:
                await transact(writer, apply_observations, waiting, POLICY)
                waiting = []
                await _catch_up(writer, reader, witness, look=dice.random() < 0.5)
        if waiting:
            await transact(writer, apply_observations, waiting, POLICY)
        for _ in range(3):
            await _catch_up(writer, reader, witness, look=True)
        expected = oracle.summary(player.book, chain)
    finally:
        chain.close()
    assert await shown(reader) == wanted(expected)
    async with reading(reader) as conn:
        assert await differences(conn) == []


async def _catch_up(
    writer: AsyncEngine, reader: AsyncEngine, witness: Witness, *, look: bool
) -> None:
    """Histories of projects just heard of, and a look into the mempool."""
    async with reading(reader) as conn:
        fresh = await chain_source.unindexed_projects(conn)
        known = await chain_source.all_projects(conn)
        held = await chain_source.unconfirmed_txids(conn)
    for project_id in known:
        witness.watched.add_project(project_id)
    seen: list[Observation] = [witness.history(project_id) for project_id in fresh]
    if look:
        seen.append(witness.mempool(known, held))
    if seen:
        await transact(writer, apply_observations, seen, POLICY)
