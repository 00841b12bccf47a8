"""A fresh record is `starting` until all is in, whichever source is the slow one.

Health is asked all the time: no answer may say `ready` while the totals are not the last ones.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pbk")

from tests.rig.brief_shop import BRIEF_SHOP, brief_shop_story
from tests.rig.brief_story import brief_story
from tests.rig.harness import Harness, harness
from tests.rig.node import Node

from raised.clock import now
from raised_simnet.btcpay.faults import ApiFaults
from raised_simnet.relays.relays import Relay
from raised_simnet.relays.slow_relay import SlowRelay
from raised_simnet.story.paced_player import comparable
from raised_simnet.story.steps import Step
from raised_simnet.story.stories import start_before
from raised_simnet.story.storyboard import Story

HEALTH = "/health"
SLOW_SECONDS = 0.7  # for each piece of an answer: a back-fill takes several of them
SAMPLE_SECONDS = 0.05


@dataclass
class Sampler:
    """Asks a node for its health, then its summary, again and again."""

    node: Node
    samples: list[tuple[str, bool, dict[str, Any]]] = field(default_factory=list)
    steps: dict[str, tuple[int, int]] = field(default_factory=dict)

    async def until_settled(self) -> str:
        """Sample until the first sync is over; the status then."""
        while True:
            health = await self.node.get(HEALTH)
            summary = await self.node.summary()
            self.steps = {
                step["what"]: (step["done"], step["total"]) for step in health["progress"]
            }
            complete = summary["as_of"]["complete"]
            self.samples.append((health["status"], complete, comparable(summary)))
            if health["status"] in {"ready", "degraded"}:
                return str(health["status"])
            left = [step for step in self.steps.values() if step[0] < step[1]]
            assert left or health["status"] == "down", "health says what is left"
            await asyncio.sleep(SAMPLE_SECONDS)

    def assert_honest(self, totals: dict[str, Any]) -> None:
        """Whatever was called ready or complete had these totals."""
        for status, complete, shown in self.samples:
            if complete or status == "ready":
                assert shown == totals


async def at_once(step: Step) -> None:
    del step
    await asyncio.sleep(0)


@asynccontextmanager
async def told(folder: Path, story: Story, **more: Any) -> AsyncIterator[Harness]:
    """A story that has been told to its end, and a node that has not been started."""
    async with harness(folder, story, **more) as stage:
        await stage.play(at_once)
        yield stage


@asynccontextmanager
async def slowed(stage: Harness) -> AsyncIterator[SlowRelay]:
    """A slow way to the first relay."""
    proxy = SlowRelay(stage.world.relays[0].url)
    proxy.start()
    yield proxy
    await asyncio.to_thread(proxy.stop)


def follow(stage: Harness, relays: Sequence[str]) -> None:
    """Let the node follow these relays and no others."""
    shown = "".join(f'[[relay]]\nurl = "{url}"\n' for url in relays)
    config = Path(stage.box.environment["RAISED_CONFIG"])
    lines = stage.performance.settings()
    for relay in stage.world.relays:
        lines = lines.replace(f'[[relay]]\nurl = "{relay.url}"\n', "")
    config.write_text(lines + shown)


async def start(stage: Harness) -> Sampler:
    """Start the node, and do not wait until it is ready."""
    await stage.box.launch()
    return Sampler(stage.box)


async def test_a_relay_that_is_slower_than_the_explorer(tmp_path: Path) -> None:
    async with told(tmp_path, brief_story(1, start_before(now()))) as stage, slowed(stage) as slow:
        slow.delay_seconds = SLOW_SECONDS
        follow(stage, [slow.url])
        sampler = await start(stage)
        assert await sampler.until_settled() == "ready"
        assert {"starting"} <= {status for status, _, _ in sampler.samples}
        sampler.assert_honest(stage.performance.oracle())
        assert (await stage.outcome()).equal


async def test_a_slow_relay_beside_a_quick_one_that_has_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(told(tmp_path, brief_story(2, start_before(now()))))
        empty = Relay()
        stack.push_async_callback(asyncio.to_thread, empty.stop)
        await asyncio.to_thread(empty.start)
        slow = await stack.enter_async_context(slowed(stage))
        slow.hold()
        follow(stage, [empty.url, slow.url])
        sampler = await start(stage)
        # The quick one and the chain are done, and still nothing is called ready.
        health = await stage.box.until(HEALTH, lambda health: is_waiting_for(health, slow.url))
        assert health["status"] == "starting"
        summary = await stage.box.summary()
        assert summary["as_of"]["complete"] is False
        assert summary["totals"]["raised_sats"] == 0
        slow.release()
        assert await sampler.until_settled() == "ready"
        sampler.assert_honest(stage.performance.oracle())


def is_waiting_for(health: dict[str, Any], url: str) -> bool:
    """Whether the back-fill of this relay is all that is left."""
    left = [step["what"] for step in health["progress"] if step["done"] < step["total"]]
    return health["chain"]["height"] is not None and left == [f"backfill {url}"]


async def test_a_relay_that_is_down_from_the_start_is_named_and_never_plain_ready(
    tmp_path: Path,
) -> None:
    async with told(tmp_path, brief_story(4, start_before(now()))) as stage:
        away = stage.world.relays[1]
        await asyncio.to_thread(away.stop)
        sampler = await start(stage)
        assert await sampler.until_settled() == "degraded"
        health = await stage.box.get(HEALTH)
        assert {problem["source"].rstrip("/") for problem in health["problems"]} == {away.url}
        assert {complete for _, complete, _ in sampler.samples} == {False}
        await asyncio.to_thread(away.start)
        ready = await stage.box.until(HEALTH, lambda health: health["status"] != "degraded")
        assert ready["status"] == "ready", "it never starts again"
        assert (await stage.box.summary())["as_of"]["complete"]


def has_begun(health: dict[str, Any]) -> bool:
    """Whether something was read."""
    return any(step["done"] for step in health["progress"])


@pytest.mark.parametrize("kills", [3])
async def test_killed_in_the_middle_it_begins_where_it_was(tmp_path: Path, kills: int) -> None:
    async with told(tmp_path, brief_story(5, start_before(now()))) as stage, slowed(stage) as slow:
        slow.delay_seconds = SLOW_SECONDS / 2
        follow(stage, [slow.url, stage.world.relays[1].url])
        sampler = await start(stage)
        for _ in range(kills):
            await stage.box.until(HEALTH, has_begun)
            await stage.box.daemon.kill()
            await stage.box.daemon.start()
        assert await sampler.until_settled() == "ready"
        sampler.assert_honest(stage.performance.oracle())
        await stage.box.daemon.kill()
        await stage.box.daemon.start()
        again = Sampler(stage.box)
        assert await again.until_settled() in {"ready", "degraded"}
        assert again.samples[0][0] != "starting"


async def test_a_store_whose_first_sweep_is_slow(tmp_path: Path) -> None:
    async with told(tmp_path, brief_shop_story(6, start_before(now()))) as stage:
        stage.world.btcpay.trouble = ApiFaults(delay_seconds=0.3)
        sampler = await start(stage)
        assert await sampler.until_settled() == "ready"
        sampler.assert_honest(stage.performance.oracle())
        assert sampler.steps[f"btcpay {BRIEF_SHOP}"][0] > 0


async def test_a_store_that_is_down_from_the_start(tmp_path: Path) -> None:
    async with told(tmp_path, brief_shop_story(7, start_before(now()))) as stage:
        stage.world.btcpay.trouble = ApiFaults(status=503)
        sampler = await start(stage)
        assert await sampler.until_settled() == "degraded"
        assert {complete for _, complete, _ in sampler.samples} == {False}
        stage.world.btcpay.trouble = ApiFaults()
        await stage.box.until(HEALTH, lambda health: health["status"] == "ready")
        assert comparable(await stage.box.summary()) == stage.performance.oracle()
