"""Explorers that fail, lie or go back: nothing they say wrong is counted, and they are named."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pbk")

from tests.rig.brief_story import brief_story
from tests.rig.harness import Harness, harness

from raised.clock import now
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.bech32 import address
from raised.domain.bitcoin.tx import Tx
from raised_simnet.explorer.faults import BadBlock, Faults, altered_witness
from raised_simnet.explorer.server import Explorer
from raised_simnet.story.paced_player import Pace
from raised_simnet.story.steps import Mine, Step
from raised_simnet.story.stories import start_before

SLOWER = Faults(delay_seconds=0.05)
FAULTS: dict[str, Callable[[], Faults]] = {
    "500": lambda: Faults(status=500),
    "429": lambda: Faults(status=429, retry_after=1),
    "html": lambda: Faults(html=True),
    "cut off": lambda: Faults(cut=True),
    "another block": lambda: Faults(bad_block=BadBlock.OTHER),
    "a block that does not hash": lambda: Faults(bad_block=BadBlock.HEADER),
    "a transaction less": lambda: Faults(bad_block=BadBlock.TRANSACTION),
    "another witness": lambda: Faults(bad_block=BadBlock.WITNESS),
}


def after(blocks: int, event: Callable[[], None], pace: Pace) -> Pace:
    """The same pace; after so many blocks something happens."""
    left = blocks

    async def wait(step: Step) -> None:
        nonlocal left
        await pace(step)
        left -= isinstance(step, Mine)
        if left == 0:
            left = -1
            event()

    return wait


def names(explorer: Explorer) -> Callable[[dict[str, Any]], bool]:
    """Whether health names this explorer."""
    return lambda health: explorer.url in {p["source"].rstrip("/") for p in health["problems"]}


@pytest.mark.parametrize("what", FAULTS)
async def test_beside_a_good_explorer_a_sick_one_costs_nothing(tmp_path: Path, what: str) -> None:
    async with harness(tmp_path, brief_story(1, start_before(now())), explorers=2) as stage:
        sick, good = stage.world.explorers
        good.faults = SLOWER
        await stage.box.start()

        def fall_ill() -> None:
            sick.faults = FAULTS[what]()

        await stage.play(after(3, fall_ill, stage.followed()))
        assert (await stage.outcome()).equal
        health = await stage.box.until("/health/ready", names(sick))
        assert health["status"] == "degraded"
        assert not names(good)(health)
        assert await stage.box.is_consistent()


@pytest.mark.parametrize("what", ["500", "cut off", "another block", "another witness"])
async def test_alone_a_sick_explorer_stops_the_record_until_it_heals(
    tmp_path: Path, what: str
) -> None:
    async with harness(tmp_path, brief_story(2, start_before(now()))) as stage:
        sick = stage.world.explorer
        await stage.box.start()
        before = await stage.box.summary()
        sick.faults = FAULTS[what]()
        await stage.play(_never_waiting)
        await stage.box.until("/health/ready", names(sick))
        ill = await stage.box.summary()
        assert ill["angor"] == before["angor"]
        sick.faults = Faults()
        assert (await stage.outcome()).equal
        assert await stage.box.is_consistent()


async def _never_waiting(step: Step) -> None:
    await asyncio.sleep(0)
    del step


LIES: dict[str, Callable[[Tx, Tx], Tx]] = {
    "another transaction": lambda _, other: other,
    "another witness": lambda asked, _: altered_witness(asked),
}


@pytest.mark.parametrize("what", LIES)
async def test_spends_other_than_those_asked_for_are_refused_and_asked_elsewhere(
    tmp_path: Path, what: str
) -> None:
    """The first index, by addresses: no raw block vouches for what it is told."""
    async with harness(tmp_path, brief_story(3, start_before(now())), explorers=2) as stage:
        lying, good = stage.world.explorers
        good.faults = SLOWER
        await stage.play(_never_waiting)
        other = stage.world.chain.block_at(1).txs[0]
        spends = [left.tx for left in stage.performance.player.book.left.values()]
        lying.faults = Faults(lies={tx.txid: LIES[what](tx, other) for tx in spends})
        await stage.box.start()
        assert (await stage.outcome()).equal
        await stage.box.until("/health/ready", names(lying))
        assert not names(good)(await stage.box.get("/health/ready"))


async def test_a_tip_that_goes_back_takes_no_money_back(tmp_path: Path) -> None:
    async with harness(tmp_path, brief_story(4, start_before(now())), explorers=2) as stage:
        late, good = stage.world.explorers
        await stage.box.start()
        await stage.play()
        assert (await stage.outcome()).equal
        late.view.lag = 3
        await stage.box.until("/health/ready", names(late))
        assert (await stage.outcome()).equal
        assert not await _reorgs(stage)
        assert not names(good)(await stage.box.get("/health/ready"))


async def test_an_explorer_that_is_down_is_named_and_caught_up_with(tmp_path: Path) -> None:
    async with harness(tmp_path, brief_story(5, start_before(now()))) as stage:
        explorer = stage.world.explorer
        await stage.box.start()
        explorer.down()
        await stage.box.until("/health/ready", names(explorer))
        await stage.play(_never_waiting)
        explorer.up()
        assert (await stage.outcome()).equal
        told = {change["type"] for change in await stage.box.changes()}
        assert {"source.lost", "source.restored"} <= told


async def _reorgs(stage: Harness) -> list[dict[str, Any]]:
    return [change for change in await stage.box.changes() if change["type"] == "reorg"]


async def test_an_explorer_that_refuses_everything_is_down_and_the_answer_stale(
    tmp_path: Path,
) -> None:
    async with harness(tmp_path, brief_story(6, start_before(now()))) as stage:
        explorer = stage.world.explorer
        await stage.box.start()
        await stage.play(after(3, lambda: None, stage.followed()))
        assert (await stage.outcome()).equal
        explorer.faults = Faults(status=403, body="banned")
        health = await stage.box.until("/health/ready", names(explorer))
        problem = next(p for p in health["problems"] if p["source"].rstrip("/") == explorer.url)
        assert problem["severity"] == "down"
        assert "status 403" in problem["detail"]
        await stage.box.until("/api/v1/summary", lambda found: found["as_of"]["stale"])
        explorer.faults = Faults()
        await stage.box.until("/health/ready", lambda found: found["status"] == "ready")
        await stage.box.until("/api/v1/summary", lambda found: not found["as_of"]["stale"])


@pytest.mark.parametrize("status", [429, 500])
async def test_a_history_that_nobody_gives_is_named_and_the_rest_is_counted(
    tmp_path: Path, status: int
) -> None:
    async with harness(tmp_path, brief_story(7, start_before(now())), explorers=2) as stage:
        await stage.play(_never_waiting)
        project_id = _first_project(stage)
        about = address("bcrt", project_script(project_id))
        for explorer in stage.world.explorers:
            explorer.faults = Faults(status=status, about=about)
        await stage.box.start()
        found = await stage.box.until("/api/v1/problems", _names_project(project_id))
        assert {row["source"] for row in found["items"]} == {"chain"}
        for explorer in stage.world.explorers:
            explorer.faults = Faults()
        assert (await stage.outcome()).equal
        await stage.box.until("/api/v1/problems", lambda found: not found["items"])


def _names_project(project_id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: any(
        (row["code"], row["subject"]) == ("history_unread", project_id) for row in found["items"]
    )


def _first_project(stage: Harness) -> str:
    published = stage.performance.player.book.published
    return next(step.identifier for step in published if step.identifier is not None)
