"""Committed project events that are odd: of any date, expired, or with text no database holds."""

from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.brief_story import BRIEF_TURNS, project_text
from tests.rig.harness import Harness, harness
from tests.rig.hostile_relay import HostileRelay
from tests.rig.odd_nostr_events import EXPIRED

from raised.clock import now
from raised_simnet.actors.announcing import PROJECT, signed
from raised_simnet.story.project_script import Intent, ProjectScript
from raised_simnet.story.steps import Publish
from raised_simnet.story.stories import start_before
from raised_simnet.story.storyboard import Storyboard

DAY = 86_400
# Date of the event from now on, its tags, and what the content begins with.
ODD: dict[str, tuple[int, list[list[str]], str]] = {
    "two hours ahead": (7_200, [], ""),
    "a year ahead": (365 * DAY, [], ""),
    "at no time": (-now(), [], ""),
    "at the end of time": (1 << 53, [], ""),
    "expired": (-DAY, [EXPIRED], ""),
    "expiring at an odd time": (-DAY, [["expiration", "soon"]], ""),
    "protected": (-DAY, [["-"]], ""),
    "nothing": (-DAY, [], "\0"),
}
BAD_TERMS = "nothing"


def odd_project(script: Storyboard, name: str) -> ProjectScript:
    """A project of this name whose event is odd, with an investment."""
    date, tags, start = ODD[name]
    project = project_text(script, name)
    tags = [["d", project.plan.identifier], *tags]
    content = start + project.plan.content()
    project.event = signed(project.founder.nostr, PROJECT, now() + date, content, tags)
    project.found(2)
    project.invest(3, "ann", Intent(5_000_000))
    return project


async def test_a_committed_event_counts_however_odd_and_its_relay_is_not_blamed(
    tmp_path: Path,
) -> None:
    script = Storyboard(7, start_before(now()), BRIEF_TURNS)
    projects = {name: odd_project(script, name) for name in ODD}
    relay = HostileRelay([project.event for project in projects.values()])
    relay.start()
    try:
        async with harness(tmp_path, script.finish(), relays=[relay.url]) as stage:
            told = {name: _told(projects[name], sound=name != BAD_TERMS) for name in ODD}
            stage.performance.player.book.published.extend(told.values())
            await stage.box.start()
            await stage.play()
            result = await stage.outcome()
            assert result.equal, (result.summary, result.oracle)
            statuses = {
                name: (await stage.box.get(f"/api/v1/projects/{projects[name].plan.identifier}"))
                for name in ODD
            }
            assert {name: item["status"] for name, item in statuses.items()} == {
                name: "rejected" if name == BAD_TERMS else "confirmed" for name in ODD
            }
            assert statuses[BAD_TERMS]["reason"] == "bad_terms"
            await _verify(stage, projects[BAD_TERMS].plan.identifier)
            relays = (await stage.box.get("/api/v1/relays"))["items"]
            assert {item["state"] for item in relays} == {"ok"}
    finally:
        relay.stop()


def _told(project: ProjectScript, *, sound: bool) -> Publish:
    return Publish(project.event, project.plan.identifier, sound)


async def _verify(stage: Harness, project_id: str) -> None:
    """The audit of the network says what the record says."""
    ended = await stage.box.command("verify", project_id)
    assert "the record has" not in ended.out, ended.out
    assert "bad_terms" in ended.out
