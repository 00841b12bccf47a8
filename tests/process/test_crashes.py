"""kill -9 of the daemon at any instant: nothing acknowledged is lost, nothing is invented."""

import asyncio
import random
from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.brief_story import BRIEF_TURNS, brief_project, project_text
from tests.rig.harness import Harness, harness

from raised.clock import now
from raised_simnet.story.paced_player import Pace
from raised_simnet.story.steps import Publish, Step
from raised_simnet.story.stories import full_story, start_before
from raised_simnet.story.storyboard import Storyboard

KILLS = 10
WITHIN_SECONDS = 0.3
BUSY_PROJECTS = 300
BUSY_KILLS = 5
HEAD = "/api/v1/changes?after={}&limit=1"


def killing(stage: Harness, pace: Pace, dice: random.Random) -> Pace:
    """The same pace, with the daemon killed and started again at ten random moments."""
    moments = set(dice.sample(range(len(stage.performance.story.steps)), KILLS))
    played = 0

    async def wait(step: Step) -> None:
        nonlocal played
        if played in moments:
            # At any instant of what the step has caused; how far that came is the machine's.
            await asyncio.sleep(dice.random() * WITHIN_SECONDS)
            await stage.box.daemon.kill()
            await stage.box.daemon.start()
        played += 1
        await pace(step)

    return wait


async def test_the_whole_story_with_ten_kills(tmp_path: Path, database_url: str) -> None:
    story = full_story(11, start_before(now()), now(), shops=True)
    async with harness(tmp_path, story, database_url=database_url) as stage:
        await stage.box.start()
        pace = stage.followed()
        await stage.play(killing(stage, pace, random.Random(11)))
        assert (await stage.outcome()).equal
        assert await stage.box.is_consistent()


async def test_what_was_told_before_a_kill_in_a_busy_ingest_is_told_after_it(
    tmp_path: Path, database_url: str
) -> None:
    dice = random.Random(5)
    script = Storyboard(12, start_before(now()), BRIEF_TURNS)
    brief_project(script, "busy").announce(1)
    words = [project_text(script, f"word {number}") for number in range(BUSY_PROJECTS)]
    async with harness(tmp_path, script.finish(), database_url=database_url) as stage:
        box = stage.box
        await stage.world.publish([each.event for each in words])
        stage.performance.player.book.published.extend(
            Publish(each.event, each.plan.identifier) for each in words
        )
        await stage.play(_at_once)
        await box.api.start()
        acknowledged: list[object] = []
        for _ in range(BUSY_KILLS):
            if len(acknowledged) >= BUSY_PROJECTS:
                break
            await box.daemon.start()
            await box.until(HEAD.format(len(acknowledged)), lambda page: page["items"])
            await asyncio.sleep(dice.random() * WITHIN_SECONDS)  # the same
            await box.daemon.kill()
            told = await box.changes()
            assert told[: len(acknowledged)] == acknowledged
            acknowledged = list(told)
            assert await box.is_consistent()
        await box.daemon.start()
        assert (await stage.outcome()).equal
        assert (await box.changes())[: len(acknowledged)] == acknowledged
        assert await box.is_consistent()


async def _at_once(step: Step) -> None:
    await asyncio.sleep(0)
    del step
