"""The audit, given the whole chain, must tell of every project what its actors did."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment_state import Place, StoredTx, Tip
from raised.domain.angor.network import network_named
from raised.domain.audit.audit import audit
from raised.domain.audit.report import AuditReport
from raised.domain.event import Event, event_from_json
from raised_simnet.actors.nostr_event import Event as SignedEvent
from raised_simnet.actors.wallet import Wallet, fund
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.story import oracle
from raised_simnet.story.player import Player, chain_start
from raised_simnet.story.steps import Publish
from raised_simnet.story.stories import full_story

START = 1768435200  # 2026-01-15
NETWORK = network_named("regtest")


async def _nobody(event: SignedEvent, relays: tuple[int, ...] | None) -> None:
    """Nobody listens."""


def _held(chain: RegtestChain) -> Iterator[StoredTx]:
    for block_hash in chain.best:
        stored = chain.archive.blocks[block_hash]
        for position, tx in enumerate(stored.txs[1:], start=1):
            place = Place(stored.height, stored.hash, position, stored.time)
            yield StoredTx(tx, place, stored.time, gone=False)
    for tx in chain.mempool:
        yield StoredTx(tx, None, chain.tip_time, gone=False)


async def _audited(seed: int, directory: Path) -> tuple[dict[str, Any], list[AuditReport], int]:
    story = full_story(seed, START)
    chain = RegtestChain(directory, chain_start(story))
    try:
        miner = Wallet(chain, "miner")
        fund(chain, miner)
        player = Player(chain, story, _nobody)
        player.prepare(miner)
        for step in story.steps:
            await player.perform(step)
        events = {
            step.event["id"]: event_from_json(step.event)
            for step in story.steps
            if isinstance(step, Publish) and step.identifier
        }
        held = list(_held(chain))
        tip = Tip(chain.height, chain.tip_hash, 1, chain.median_time)
        fates = oracle.project_outcomes(player.book, chain)
        reports = [
            audit(NETWORK, _event(events, fate.event_id), held, tip=tip, project_id=identifier)
            for identifier, fate in fates.items()
            if fate.status in ("confirmed", "event_missing")
        ]
        rejected = sum(_rejected(report, held) for report in reports)
        return oracle.summary(player.book, chain), reports, rejected
    finally:
        chain.close()


def _event(events: dict[str, Event], event_id: str | None) -> Event | None:
    return None if event_id is None else events[event_id]


def _rejected(report: AuditReport, held: list[StoredTx]) -> int:
    """Rejected transactions of the project's own history: the file holds everybody's."""
    assert report.project.id is not None
    script = project_script(report.project.id)
    paying = {h.tx.txid for h in held if any(o.script_pubkey == script for o in h.tx.outputs)}
    return sum(t.role == "rejected" and t.txid in paying for t in report.transactions)


@pytest.mark.parametrize("seed", [0, 6])
def test_the_audits_of_all_projects_add_up_to_the_oracle(seed: int, tmp_path: Path) -> None:
    expected, reports, rejected = asyncio.run(_audited(seed, tmp_path))
    totals = [report.totals for report in reports]
    assert {
        "raised_sats": sum(t.raised_sats for t in totals),
        "claimed_sats": sum(t.claimed_sats for t in totals),
        "locked_sats": sum(t.locked_sats for t in totals),
        "unknown_sats": sum(t.unknown_sats for t in totals),
        "in_penalty_sats": sum(t.in_penalty_sats for t in totals),
        "penalty_released_sats": sum(t.penalty_released_sats for t in totals),
        "unconfirmed_sats": sum(t.unconfirmed_sats for t in totals),
        "investments": sum(t.investments for t in totals),
        "investors": sum(t.investors for t in totals),
        "rejected_investments": rejected,
    } == {k: v for k, v in expected["angor"].items() if k not in ("returned_sats", "net_sats")}


def test_statuses_are_those_of_the_oracle(tmp_path: Path) -> None:
    expected, reports, _ = asyncio.run(_audited(6, tmp_path))
    statuses = [report.project.status for report in reports]
    for status in ("confirmed", "event_missing"):
        assert statuses.count(status) == expected["projects"][status]
    assert not any(report.problems for report in reports if report.project.status == "confirmed")
