"""A story in a whole world: real relays get the events, and what a follower shows is compared."""

import httpx

from raised_simnet.demo.demo import Result
from raised_simnet.demo.programs import free_port
from raised_simnet.relays.relays import stored
from raised_simnet.story.paced_player import PacedPlayer, agreement, comparable, followed
from raised_simnet.story.player import chain_start
from raised_simnet.story.steps import Mine, Publish, Step
from raised_simnet.story.stories import full_story, small_story
from raised_simnet.story.storyboard import Story
from raised_simnet.world import World

START = 1768435200  # 2026-01-15


async def at_once(step: Step) -> None:
    """No pause."""


async def test_relays_hold_what_the_story_published() -> None:
    story = full_story(1, START)
    async with World(start_time=chain_start(story)) as world:
        performance = PacedPlayer(world, story)
        performance.prepare()
        await performance.play(at_once)
        held = [
            {event["id"] for event in stored(relay.url, kinds=[3030])} for relay in world.relays
        ]
    for number, ids in enumerate(held):
        assert ids == _meant_for(story, number)


def _meant_for(story: Story, relay: int) -> set[str]:
    published = [step for step in story.steps if isinstance(step, Publish)]
    withdrawn = {step.withdraws for step in published}
    return {
        step.event["id"]
        for step in published
        if step.event["kind"] == 3030
        and step.event["id"] not in withdrawn
        and (step.relays is None or relay in step.relays)
    }


async def test_a_follower_that_shows_the_oracles_figures_agrees() -> None:
    story = small_story(2, START)
    async with World(relays=1, start_time=chain_start(story)) as world:
        performance = PacedPlayer(world, story)
        performance.prepare()

        def answer(request: httpx.Request) -> httpx.Response:
            tip = {"height": world.chain.height, "hash": world.chain.tip_hash}
            return httpx.Response(200, json={**performance.oracle(), "as_of": tip, "last_24h": 1})

        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            await performance.play(followed(client, world))
            shown, expected = await agreement(client, performance)
    result = Result(2, shown, expected)
    assert result.equal
    assert result.as_json()["oracle"]["angor"]["raised_sats"] > 0


async def test_a_follower_with_another_figure_does_not_agree() -> None:
    story = small_story(2, START)
    async with World(relays=1, start_time=chain_start(story)) as world:
        performance = PacedPlayer(world, story)
        performance.prepare()
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"network": "regtest"}))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            shown, expected = await agreement(client, performance, patience_seconds=0.1)
    assert not Result(2, shown, expected).equal


async def test_a_follower_that_is_away_leaves_no_summary() -> None:
    story = small_story(2, START)
    async with World(relays=1, start_time=chain_start(story)) as world:
        performance = PacedPlayer(world, story)
        base_url = f"http://127.0.0.1:{free_port()}"
        async with httpx.AsyncClient(base_url=base_url) as client:
            await followed(client, world, patience_seconds=0.05)(Mine(0))
            shown, expected = await agreement(client, performance, patience_seconds=0.1)
    assert shown is None
    assert not Result(2, shown, expected).equal


def test_what_hangs_on_the_clock_is_not_compared() -> None:
    assert comparable({"as_of": 1, "last_24h": 2, "last_7d": 3, "angor": 4}) == {"angor": 4}
