"""The first sync: the record says that it is complete when the last sum is in, never before."""

from dataclasses import replace
from random import Random

import pytest
from tests.record.conftest import Founder, Ledger, World
from tests.record.first_sync_sources import AWAY, QUICK, SHOP, SLOW, FirstSync
from tests.rig.store_observations import StoreObservations

from raised.db import schema
from raised.domain.observation import (
    BackfillDone,
    ClockTicked,
    ConfiguredStore,
    GroupProblems,
    Progress,
    SourceHealth,
    SourceProblem,
    SourcesConfigured,
    StoreRead,
    TipSeen,
)

EVERYTHING = {"first_sync_ended_at", "complete"}


@pytest.fixture
def sync(regtest_ledger: Ledger, world: World) -> FirstSync:
    return FirstSync(regtest_ledger, world)


async def completeness(ledger: Ledger) -> list[str]:
    """The changes that tell whether the record is complete."""
    return [row["type"] for row in await ledger.changes() if row["source"] == "record"]


@pytest.mark.parametrize("seed", range(25))
async def test_in_whatever_order_it_is_never_complete_with_other_totals_than_the_last(
    sync: FirstSync, seed: int
) -> None:
    await sync.start()
    async for _ in sync.run(Random(seed)):
        if await sync.marks():
            assert await sync.shown() == sync.totals
            assert all(row["indexed_height"] for row in await sync.ledger.rows(schema.project))
    assert await sync.shown() == sync.totals
    assert (await sync.marks()).keys() == EVERYTHING
    assert await completeness(sync.ledger) == ["record.complete"]


@pytest.mark.parametrize("seed", range(5))
async def test_a_daemon_that_is_killed_meanwhile_begins_no_sync_that_is_over(
    sync: FirstSync, seed: int
) -> None:
    """What was observed and not committed is lost, and everything is read again."""
    dice = Random(seed)
    await sync.start()
    commits = dice.randint(1, 12)
    async for _ in sync.run(dice):
        commits -= 1
        if not commits:
            break
    sync.restart()
    await sync.start()
    async for _ in sync.run(dice):
        if await sync.marks():
            assert await sync.shown() == sync.totals
    assert (await sync.marks()).keys() == EVERYTHING


async def everything(sync: FirstSync) -> None:
    async for _ in sync.run(Random(0)):
        pass


@pytest.mark.parametrize("part", ["quick", "slow", "chain", "shop"])
async def test_it_waits_for_each_source_that_was_not_tried_yet(sync: FirstSync, part: str) -> None:
    await sync.start()
    kept = sync.parts.pop(part)
    await everything(sync)
    assert not await sync.marks()
    sync.parts[part] = kept
    await everything(sync)
    assert (await sync.marks()).keys() == EVERYTHING


async def test_a_relay_that_is_away_is_not_waited_for_but_the_record_is_not_complete(
    sync: FirstSync,
) -> None:
    await sync.start(relays=(QUICK, SLOW, AWAY))
    await everything(sync)
    assert not await sync.marks()
    await sync.ledger.see(SourceHealth("relay", AWAY, "down", sync.world.now))
    await everything(sync)
    assert (await sync.marks()).keys() == {"first_sync_ended_at"}
    now = sync.world.now
    await sync.ledger.see(
        SourceHealth("relay", AWAY, "ok", now), BackfillDone(AWAY, now, now, full=True)
    )
    assert (await sync.marks()).keys() == EVERYTHING


async def test_a_relay_that_could_not_be_read_to_its_end_is_not_waited_for(
    sync: FirstSync,
) -> None:
    await sync.start(relays=(QUICK, SLOW, AWAY))
    await everything(sync)
    await sync.ledger.see(SourceHealth("relay", AWAY, "degraded", sync.world.now))
    assert not await sync.marks()
    await sync.ledger.see(Progress(f"backfill {AWAY}", 3, 3, sync.world.now))
    await everything(sync)
    assert (await sync.marks()).keys() == {"first_sync_ended_at"}


async def test_without_a_relay_that_was_read_it_does_not_end(sync: FirstSync) -> None:
    await sync.start(relays=(AWAY,))
    del sync.parts["quick"], sync.parts["slow"]
    await everything(sync)
    await sync.ledger.see(SourceHealth("relay", AWAY, "down", sync.world.now))
    assert not await sync.marks()


@pytest.mark.parametrize("code", ["history", "more_problems"])
async def test_a_history_that_is_set_aside_is_not_waited_for(sync: FirstSync, code: str) -> None:
    await sync.start()
    parts = sync.parts
    sync.parts = {name: part for name, part in parts.items() if name != "chain"}
    await everything(sync)
    now = sync.world.now
    tip = sync.world.tip
    await sync.ledger.see(
        TipSeen(tip, "explorer", now), Progress("blocks", tip.height, tip.height, now)
    )
    unread = [row["id"] for row in await sync.ledger.rows(schema.project)]
    assert len(unread) == 2
    problems = [SourceProblem(code, "No explorer gives it.", "degraded", now, now, unread[0])]
    await sync.ledger.see(GroupProblems("chain", tuple(problems), now))
    await everything(sync)
    if code == "history":
        assert not await sync.marks(), "the other one is awaited"
        await sync.ledger.see(sync.history(unread[1]))
    assert (await sync.marks()).keys() == EVERYTHING


async def test_projects_that_are_announced_each_second_keep_no_sync_from_its_end(
    sync: FirstSync,
) -> None:
    """Anybody can announce a project, and then its history is to be read and its key is wanted."""
    await sync.start()
    newcomers = [Founder(sync.world, f"newcomer {number}") for number in range(9)]
    sync.unread = {newcomer.project_id for newcomer in newcomers}
    async for _ in sync.run(Random(3)):
        if newcomers and await sync.was_read():
            sync.world.now += 1
            seen = sync.world.told(newcomers.pop().event)
            await sync.ledger.see(replace(seen, at=sync.world.now))
    assert len(newcomers) < 9, "some came meanwhile"
    assert (await sync.marks()).keys() == EVERYTHING
    assert await sync.shown() == sync.totals


async def test_what_is_found_later_leaves_a_complete_record_complete(sync: FirstSync) -> None:
    await sync.start()
    await everything(sync)
    newcomer = Founder(sync.world, "newcomer")
    await sync.ledger.see(sync.world.told(newcomer.event), ClockTicked(sync.world.now))
    assert (await sync.marks()).keys() == EVERYTHING
    assert await completeness(sync.ledger) == ["record.complete"]


@pytest.mark.parametrize(
    ("relays", "labels"), [((QUICK, SLOW, AWAY), (SHOP,)), ((QUICK, SLOW), (SHOP, "stall"))]
)
async def test_a_source_that_is_added_makes_the_record_incomplete_until_it_is_read(
    sync: FirstSync, relays: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    await sync.start()
    await everything(sync)
    stores = tuple(ConfiguredStore(label, "", "", (), (), ()) for label in labels)
    now = sync.world.now
    await sync.ledger.see(SourcesConfigured(now, "regtest", 1, relays, (), stores))
    assert (await sync.marks())["complete"] == "false"
    stall = StoreObservations("stall", now)
    await sync.ledger.see(BackfillDone(AWAY, now, now, full=True), stall.sweep_done())
    is_complete = labels == (SHOP,)
    assert (await sync.marks())["complete"] == str(is_complete).lower(), "refunds are to come"
    await sync.ledger.see(StoreRead("stall", now))
    assert (await sync.marks())["complete"] == "true"
    assert await completeness(sync.ledger) == [
        "record.complete",
        "record.incomplete",
        "record.complete",
    ]


async def test_after_a_gap_it_is_incomplete_until_every_history_is_read_again(
    sync: FirstSync,
) -> None:
    await sync.start()
    await everything(sync)
    seen = sync.world.mine()
    await sync.ledger.see(TipSeen(seen.block, "explorer", sync.world.now, gap=True))
    assert await sync.marks() == {
        **await sync.marks(),
        "complete": "false",
        "gap": str(sync.world.now),
    }
    for project_id in sync.histories:
        assert (await sync.marks())["complete"] == "false"
        await sync.ledger.see(sync.history(project_id))
    assert (await sync.marks()).keys() == EVERYTHING
    assert (await sync.marks())["complete"] == "true"
