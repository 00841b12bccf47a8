"""Whatever the webhooks do: seven shops, each with a trouble of its own, and one sweep."""

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("pbk")

from raised.clock import now
from raised_simnet.box import Box
from raised_simnet.btcpay.counter import StoryClock
from raised_simnet.btcpay.hook import PostFaults
from raised_simnet.btcpay.stall import STALL_TURNS, stall
from raised_simnet.performance import comparable, followed
from raised_simnet.script import Script
from raised_simnet.stage import Stage, staged
from raised_simnet.steps import Mine, Step
from raised_simnet.story import start_before

EVERYTHING = 1_000_000
BLOCK_SECONDS = 1_200  # invoices that nobody pays expire after 900
TROUBLES = {
    "none": PostFaults(),
    "lost": PostFaults(lose=EVERYTHING),
    "some-lost": PostFaults(),
    "doubled": PostFaults(twice=True),
    "shuffled": PostFaults(hold=True, shuffle=True),
    "delayed": PostFaults(hold=True),
    "slow": PostFaults(delay_seconds=0.05),
}
BLOCKS_UNTIL_STOP = 4
BLOCKS_UNTIL_RESTART = 7
BLOCKS_UNTIL_START = 10


async def test_every_payment_is_there_once_after_one_sweep(tmp_path: Path) -> None:
    """The API stops for six blocks; the server restarts meanwhile and forgets what it queued."""
    script = Script(21, start_before(now()), STALL_TURNS)
    for label in TROUBLES:
        stall(script, label)
    clock = StoryClock(now() - STALL_TURNS * BLOCK_SECONDS, BLOCK_SECONDS)
    story = script.finish()
    async with staged(tmp_path, story, clock=clock) as stage:
        for label, faults in TROUBLES.items():
            (hook,) = stage.world.shops[label].store.hooks.values()
            hook.faults = faults
        await stage.box.start()
        await play_with_troubles(stage)
        for faults in TROUBLES.values():
            faults.hold = False
        assert await asyncio.to_thread(stage.world.btcpay.drained, 60)
        before = (await stage.box.summary())["btcpay"]["invoices"]
        assert before < stage.performance.oracle()["btcpay"]["invoices"], "something was missed"
        await refresh(stage.box)
        result = await stage.outcome()
        assert comparable(result.summary or {}) == result.oracle
        assert result.oracle["btcpay"]["invoices_by_status"]["Settled"] > len(TROUBLES)
        assert await stage.box.is_consistent()


async def play_with_troubles(stage: Stage) -> None:
    pace = followed(stage.box.client, stage.world)
    mined = 0

    async def wait(step: Step) -> None:
        nonlocal mined
        if not isinstance(step, Mine):
            return
        mined += 1
        (some_lost,) = stage.world.shops["some-lost"].store.hooks.values()
        some_lost.faults.lose = mined % 4
        match mined:
            case _ if mined < BLOCKS_UNTIL_STOP or mined > BLOCKS_UNTIL_START:
                await pace(step)
            case _ if mined == BLOCKS_UNTIL_STOP:
                await stage.box.api.kill()
            case _ if mined == BLOCKS_UNTIL_RESTART:
                await asyncio.to_thread(stage.world.btcpay.restart)
            case _ if mined == BLOCKS_UNTIL_START:
                await stage.box.api.start()

    await stage.play(wait)


async def refresh(box: Box) -> None:
    """Have what was missed looked for, as at every start."""
    await box.daemon.stop()
    await box.daemon.start()
