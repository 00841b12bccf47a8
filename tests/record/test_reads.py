"""What the sources ask the record."""

from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, World

from raised.db.engine import reading
from raised.db.queries import chain_source, relay_source
from raised.domain.angor.watched_outputs import CoinKind
from raised.domain.bitcoin.tx import TxOut
from raised.domain.observation import HistorySeen, TipSeen
from raised_simnet.actors.stage_spends import claim

NOW = 1_800_000_000


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


async def asked(ledger: Ledger, read: Any, *args: Any) -> Any:
    async with reading(ledger.engine) as conn:
        return await read(conn, *args)


async def watched(ledger: Ledger, height: int) -> Any:
    async with reading(ledger.engine) as conn:
        return {outpoint: kind async for outpoint, kind in chain_source.watched_coins(conn, height)}


async def test_the_newest_blocks_come_first_and_old_empty_ones_go(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.mine(founder.found()))
    founding_height = world.tip.height
    await ledger.see(*(world.mine() for _ in range(150)))
    newest = await asked(ledger, chain_source.recent_blocks, 3)
    assert [block.hash for block in newest] == [block.hash for block in world.chain[:-4:-1]]
    everything = await asked(ledger, chain_source.recent_blocks, 1000)
    assert len(everything) == 101 + 1
    assert everything[-1].height == founding_height


async def test_missing_events_are_those_that_founding_transactions_name(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.mine(founder.found()), world.pool(founder.found("ab" * 32)))
    missing = await asked(ledger, relay_source.missing_events)
    assert missing == tuple(sorted(("ab" * 32, founder.event["id"])))
    await ledger.see(world.told(founder.event))
    assert await asked(ledger, relay_source.missing_events) == ("ab" * 32,)
    ids = [founder.event["id"], "ab" * 32]
    assert await asked(ledger, relay_source.known_event_ids, ids) == {founder.event["id"]}


async def test_the_keys_of_founded_projects_come_before_those_of_words(
    ledger: Ledger, world: World, founder: Founder, other_founder: Founder
) -> None:
    words = Founder(world, "words")
    await ledger.see(world.told(words.event), world.told(founder.event))
    await ledger.see(world.mine(founder.found(), other_founder.found_legacy()))
    people = (other_founder, founder, words)
    keys = tuple(founder.author.xonly.hex() for founder in people)
    assert await asked(ledger, relay_source.project_pubkeys) == keys


async def test_committed_events_that_a_relay_lacks_are_named(
    ledger: Ledger, world: World, founder: Founder, other_founder: Founder
) -> None:
    await ledger.see(world.told(founder.event, other_founder.event), world.mine(founder.found()))
    (lacking,) = await asked(ledger, relay_source.events_not_on_relay, "wss://two", 10)
    assert lacking.id == founder.event["id"]
    assert await asked(ledger, relay_source.events_not_on_relay, "wss://one", 10) == ()


async def test_coins_are_watched_until_their_spend_is_final(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    invested = founder.invested()
    spend = claim(invested.coins[:1], founder.key, TxOut(300_000, founder.key.address_script))
    await ledger.see(world.mine(invested.tx))
    outpoints = [coin.outpoint for coin in invested.coins]
    assert await watched(ledger, 0) == dict.fromkeys(outpoints, CoinKind.STAGE)
    await ledger.see(world.mine(spend))
    assert set(await watched(ledger, world.tip.height - 1)) == set(outpoints)
    assert set(await watched(ledger, world.tip.height)) == set(outpoints[1:])
    await ledger.see(world.undo(1))
    assert set(await watched(ledger, world.tip.height + 1)) == set(outpoints)


async def test_the_unconfirmed_are_those_that_are_somewhere(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event))
    stays, goes, mined = (founder.invested(label=name).tx for name in ("stays", "goes", "mined"))
    await ledger.see(world.pool(stays, goes, mined), world.pool(gone=[goes]), world.mine(mined))
    assert await asked(ledger, chain_source.unconfirmed_txids) == {stays.txid}


async def test_projects_are_indexed_once_the_founded_ones_first(
    ledger: Ledger, world: World, founder: Founder, other_founder: Founder
) -> None:
    await ledger.see(world.told(other_founder.event))
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    wanted = (founder.project_id, other_founder.project_id)
    assert await asked(ledger, chain_source.unindexed_projects) == wanted
    assert await asked(ledger, chain_source.all_projects) == tuple(sorted(wanted))
    assert await asked(ledger, chain_source.active_projects, world.now, 1) == wanted[:1]
    await ledger.see(HistorySeen(founder.project_id, (), world.tip, "explorer", world.now))
    assert await asked(ledger, chain_source.unindexed_projects) == wanted[1:]


async def test_a_history_of_another_chain_is_left_alone(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event))
    block = world.mine(founder.found())
    await ledger.see(TipSeen(world.undo(1).to, "explorer", NOW), world.mine(fork="ours"))
    stale = HistorySeen(
        founder.project_id, ((block.block, block.txs[0]),), block.block, "explorer", NOW
    )
    await ledger.see(stale)
    project = await ledger.project(founder.project_id)
    assert (project["status"], project["indexed_height"]) == ("announced", None)
