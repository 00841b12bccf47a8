"""The chain knows before the relays do: money is shown as soon as its project is known."""

from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.brief_story import BRIEF_TURNS, brief_project
from tests.rig.harness import harness

from raised.clock import now
from raised_simnet.story.steps import Publish, Step
from raised_simnet.story.stories import start_before
from raised_simnet.story.storyboard import Storyboard


async def test_what_waited_before_its_project_was_announced_is_unconfirmed_money(
    tmp_path: Path,
) -> None:
    script = Storyboard(6, start_before(now()), BRIEF_TURNS)
    project = brief_project(script, "late")
    async with harness(tmp_path, script.finish()) as stage:
        await stage.play(_at_once)
        await stage.box.start()
        explorer = stage.world.explorer
        explorer.forget()
        await stage.box.until("/health/ready", lambda _: explorer.counts["mempool/txids"] > 1)
        told = Publish(project.event, project.plan.identifier)
        await stage.world.publish([told.event])
        stage.performance.player.book.published.append(told)
        result = await stage.outcome()
        assert result.oracle["totals"]["unconfirmed_sats"] > 0
        assert result.equal


async def _at_once(step: Step) -> None:
    del step
