"""Whatever happens to webhooks on their way, the record ends where the actors' money did."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

pytest.importorskip("pbk")

from tests.rig.brief_shop import BRIEF_SHOP, brief_shop_story
from tests.rig.brief_story import BRIEF_TURNS
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.harness import Harness, harness

from raised.clock import now
from raised_simnet.btcpay.webhook import Webhook
from raised_simnet.story.paced_player import Pace
from raised_simnet.story.steps import Mine, Step
from raised_simnet.story.storyboard import SPACING

KILLS = 5
WITHIN_SECONDS = 0.2


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Harness]:
    story = brief_shop_story(5, now() - (BRIEF_TURNS + 1) * SPACING)
    async with harness(tmp_path, story) as stage:
        await stage.box.start()
        yield stage


def hook_of(stage: Harness) -> Webhook:
    (hook,) = stage.world.shops[BRIEF_SHOP].store.hooks.values()
    return hook


def at_block(stage: Harness, number: int, happens: Callable[[], Awaitable[object]]) -> Pace:
    """The pace of the record; `happens` after the story's block of this number."""
    pace = stage.followed()
    mined = 0

    async def wait(step: Step) -> None:
        nonlocal mined
        await pace(step)
        mined += isinstance(step, Mine)
        if isinstance(step, Mine) and mined == number:
            await happens()

    return wait


async def delivered(stage: Harness) -> None:
    """Wait until the server has nothing left to tell."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while stage.world.btcpay.webhook_sender.waiting():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.05)


async def pull(stage: Harness) -> None:
    """Ask for one sweep, as somebody at the dashboard would."""
    made = await stage.box.command("keys", "new", "--scope", "admin")
    headers = {"Authorization": f"Bearer {made.out.strip()}"}
    answer = await stage.box.client.post("/api/v1/refresh", headers=headers)
    assert answer.status_code == httpx.codes.ACCEPTED


async def assert_equal(stage: Harness) -> None:
    result = await stage.outcome()
    assert result.summary is not None
    assert {**result.summary, **result.oracle} == result.summary
    assert await stage.box.is_consistent()


async def test_all_of_them_lost(stage: Harness) -> None:
    hook_of(stage).faults.lose = 1_000_000
    await stage.play()
    assert not hook_of(stage).deliveries
    await pull(stage)
    await assert_equal(stage)


async def test_each_of_them_twice(stage: Harness) -> None:
    hook_of(stage).faults.twice = True
    await stage.play()
    await delivered(stage)
    await assert_equal(stage)


async def test_all_of_them_late_and_in_any_order(stage: Harness) -> None:
    """None comes before the story is over, and then the last may be the first."""
    faults = hook_of(stage).faults
    faults.hold = faults.shuffle = True
    await stage.play()
    faults.hold = False
    await delivered(stage)
    await assert_equal(stage)


async def test_sent_while_the_api_is_stopped(stage: Harness) -> None:
    async def again() -> None:
        await stage.box.api.start()
        await stage.box.api.ready(stage.box.client)

    async def stop() -> None:
        await stage.box.api.kill()

    hook = hook_of(stage)
    steps = 0

    async def wait(step: Step) -> None:
        nonlocal steps
        steps += isinstance(step, Mine)
        if isinstance(step, Mine) and steps == 3:
            await stop()
        await asyncio.sleep(0.02)  # for deliveries to be sent between steps, too

    await stage.play(wait)
    await again()
    await delivered(stage)
    assert any(delivery.code is None for delivery in hook.deliveries), "some met nobody"
    await assert_equal(stage)


async def test_the_server_restarted_with_a_full_queue(stage: Harness) -> None:
    async def lose_the_queue() -> None:
        assert stage.world.btcpay.webhook_sender.waiting()
        await asyncio.to_thread(stage.world.btcpay.restart)
        hook_of(stage).faults.hold = False

    hook_of(stage).faults.hold = True
    await stage.play(at_block(stage, 8, lose_the_queue))
    await delivered(stage)
    await pull(stage)
    await assert_equal(stage)


async def test_the_api_killed_while_they_come(stage: Harness) -> None:
    """Between insert and answer, too: what was not answered comes again, and counts once."""
    dice = random.Random(3)

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(dice.random() * WITHIN_SECONDS)
            await stage.box.api.kill()
            await stage.box.api.start()
        await stage.box.api.ready(stage.box.client)

    faults = hook_of(stage).faults
    faults.hold = True
    await stage.play()
    faults.hold = False
    await kill()
    await delivered(stage)
    await assert_equal(stage)


async def test_the_daemon_killed_between_answer_and_pull(stage: Harness) -> None:
    """What was answered is on disk, and is acted on at the next start."""
    faults = hook_of(stage).faults
    faults.hold = True
    await stage.play()
    await stage.box.daemon.kill()
    faults.hold = False
    await delivered(stage)
    assert all(delivery.code == httpx.codes.OK for delivery in hook_of(stage).deliveries)
    await stage.box.daemon.start()
    await assert_equal(stage)
