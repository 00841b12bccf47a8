"""Relays that misbehave, all at once, beside honest ones: each costs itself only, and is named."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("pbk")

from tests.rig.brief_story import BRIEF_TURNS, brief_project, brief_story
from tests.rig.harness import Harness, harness
from tests.rig.hostile_relay import HostileRelay, Mode

from raised.clock import now
from raised_simnet.actors.nostr_event import Event
from raised_simnet.story.steps import Publish
from raised_simnet.story.stories import start_before
from raised_simnet.story.storyboard import Storyboard

FLOOD = 50_000
BAD_CODES = {
    Mode.GARBAGE: {"unusable"},
    Mode.BAD_SIGNATURES: {"unusable"},
    Mode.FORGED_IDS: {"unusable"},
    Mode.SWAPPED: {"forged"},
    Mode.SWAPPED_FIRST: {"unusable", "forged"},
    Mode.UNREQUESTED: {"unusable"},
    Mode.SILENT: {"silent"},
    Mode.ENDLESS: {"silent"},
    Mode.NOTICE: {"silent"},
    Mode.CUT: {"lost"},
    Mode.CLOSED: {"closed"},
    Mode.AUTH: {"auth_wanted"},
}
# These hand the real events out, too: each is the only relay that has its project's.
SOLE = (Mode.GARBAGE, Mode.SWAPPED, Mode.SWAPPED_FIRST, Mode.UNREQUESTED, Mode.ENDLESS)
beside_the_others = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Siege:
    """The stage, and every bad relay by its mode."""

    stage: Harness
    relays: dict[Mode, HostileRelay]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def siege(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    """A project for each bad relay, played to its end."""
    script = Storyboard(3, start_before(now()), BRIEF_TURNS)
    brief_project(script, "honest").announce(1)
    projects = {mode: brief_project(script, mode.value.replace("_", " ")) for mode in BAD_CODES}
    for mode in BAD_CODES.keys() - set(SOLE):
        projects[mode].announce(1)
    relays = {mode: HostileRelay([projects[mode].event], mode=mode) for mode in BAD_CODES}
    for relay in relays.values():
        relay.start()
    urls = [relay.url for relay in relays.values()]
    folder = tmp_path_factory.mktemp("box")
    async with harness(folder, script.finish(), relays=urls) as stage:
        for mode in SOLE:
            told = Publish(projects[mode].event, projects[mode].plan.identifier)
            stage.performance.player.book.published.append(told)
        await stage.box.start()
        await stage.play()
        yield Siege(stage, relays)
    for relay in relays.values():
        relay.stop()


@beside_the_others
async def test_nothing_wrong_is_counted_and_nothing_right_is_lost(siege: Siege) -> None:
    result = await siege.stage.outcome()
    assert result.summary is not None
    assert result.summary["projects"]["confirmed"] == 1 + len(BAD_CODES)
    assert result.equal
    assert await siege.stage.box.is_consistent()


@beside_the_others
@pytest.mark.parametrize("mode", BAD_CODES)
async def test_health_names_the_relay_and_what_it_does(siege: Siege, mode: Mode) -> None:
    url = siege.relays[mode].url

    def is_named(health: dict[str, Any]) -> bool:
        return any(
            p["source"].rstrip("/") == url and p["code"] in BAD_CODES[mode]
            for p in health["problems"]
        )

    health = await siege.stage.box.until("/health/ready", is_named)
    assert health["status"] == "degraded"
    honest = {relay.url for relay in siege.stage.world.relays}
    assert not honest & {problem["source"].rstrip("/") for problem in health["problems"]}


@beside_the_others
@pytest.mark.parametrize("mode", BAD_CODES)
async def test_the_words_of_a_project_are_its_founders(siege: Siege, mode: Mode) -> None:
    """Known ids resent with other content, before or after: what was signed is what is kept."""
    (event,) = siege.relays[mode].events
    kept = await _evidence_event(siege.stage, event)
    assert {key: kept[key] for key in ("id", "content", "sig")} == {
        "id": event["id"],
        "content": event["content"],
        "sig": event["sig"],
    }


async def _evidence_event(stage: Harness, event: Event) -> dict[str, Any]:
    identifier = dict(tag[:2] for tag in event["tags"])["d"]
    evidence = await stage.box.get(f"/api/v1/projects/{identifier}/evidence")
    found: dict[str, Any] = evidence["event"]
    return found


async def test_a_flood_of_valid_events_holds_nobody_up(tmp_path: Any) -> None:
    flooding = HostileRelay(mode=Mode.FLOOD)
    flooding.flood_size = FLOOD
    await asyncio.to_thread(flooding.flood_events)
    flooding.start()
    story = brief_story(4, start_before(now()))
    try:
        async with harness(tmp_path, story, relays=[flooding.url]) as stage:
            await stage.box.launch()
            await stage.play()
            assert (await stage.outcome()).equal
            await stage.box.until(
                "/health/ready",
                lambda health: {"flood"} & {p["code"] for p in health["problems"]},
            )
            assert await stage.box.is_consistent()
    finally:
        flooding.stop()


async def test_a_relay_that_restarts_is_lost_and_found_and_what_it_got_meanwhile_comes(
    tmp_path: Any,
) -> None:
    story = brief_story(5, start_before(now()))
    async with harness(tmp_path, story, lasting=True) as stage:
        for relay in stage.world.relays[1:]:
            relay.kill()
        (relay,) = stage.world.relays[:1]
        await stage.box.start()
        await stage.box.until("/health/ready", lambda health: len(health["problems"]) == 1)
        relay.kill()
        await stage.box.until("/health/ready", lambda health: len(health["problems"]) == 2)
        relay.start()
        del stage.world.relays[1:]
        await stage.play()
        assert (await stage.outcome()).equal
        told = [
            (change["type"], change["data"]["name"])
            for change in await stage.box.changes()
            if change["type"].startswith("source.")
        ]
        assert ("source.lost", relay.url) in told
        assert ("source.restored", relay.url) in told
