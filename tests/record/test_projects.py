"""How projects stand: every way that events and founding transactions may come."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, World

from raised.db import schema
from raised.domain.angor.identifier import identifier
from raised.domain.angor.network import network_named
from raised_simnet.actors.announcing import project_event

DAY = 86_400
START = 1_768_435_200


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


async def standing(ledger: Ledger, founder: Founder) -> Any:
    project = await ledger.project(founder.project_id)
    return project["status"], project["reason"]


async def told_types(ledger: Ledger, prefix: str = "project.") -> Any:
    return [row["type"] for row in await ledger.changes() if row["type"].startswith(prefix)]


async def test_an_event_announces_a_project_with_its_terms(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event))
    project = await ledger.project(founder.project_id)
    assert (project["status"], project["type"], project["candidates"]) == ("announced", "invest", 1)
    assert project["event_id"] == founder.event["id"]
    assert project["target_sats"] == 1_000_000
    assert len(await ledger.rows(schema.stage)) == 2
    (change,) = await ledger.changes()
    assert change["type"] == "project.announced"
    assert change["data"]["id"] == founder.project_id
    assert change["data"]["relays"] == 1


async def test_a_founding_transaction_commits_and_depth_confirms(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.pool(founding := founder.found()))
    assert await standing(ledger, founder) == ("committed", None)
    await ledger.see(world.mine(founding))
    project = await ledger.project(founder.project_id)
    assert project["status"] == "confirmed"
    assert project["founding_txid"] == founding.txid
    assert project["founded_height"] == world.tip.height
    assert await told_types(ledger) == [
        "project.announced",
        "project.committed",
        "project.confirmed",
    ]


async def test_a_founding_transaction_that_goes_away_leaves_an_announcement(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    founding = founder.found()
    await ledger.see(world.told(founder.event), world.mine(founding), world.undo(1))
    assert await standing(ledger, founder) == ("committed", None)
    await ledger.see(world.pool(gone=[founding]))
    assert await standing(ledger, founder) == ("announced", None)


async def test_a_founding_transaction_without_its_event_is_event_missing(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.mine(founder.found()))
    assert await standing(ledger, founder) == ("event_missing", None)
    await ledger.see(world.told(founder.event))
    assert await standing(ledger, founder) == ("confirmed", None)


async def test_an_unconfirmed_founding_alone_makes_nothing_to_be_seen(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.pool(founder.found()))
    assert await standing(ledger, founder) == ("hidden", None)
    assert await told_types(ledger) == []


async def test_the_first_founding_transaction_decides_for_good_or_bad(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    """A front-runner's event is missing: the project never passes to the second one."""
    await ledger.see(world.told(founder.event))
    await ledger.see(world.mine(founder.found("ab" * 32), founder.found()))
    project = await ledger.project(founder.project_id)
    assert project["status"] == "event_missing"
    assert json.loads(project["flags"]) == ["conflict"]
    assert "project.conflict" in await told_types(ledger)


async def test_an_earlier_founding_found_later_takes_over_and_back(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    rival = project_event(founder.author, founder.terms(penalty_days=20), START)
    first, second = founder.found(rival["id"]), founder.found()
    await ledger.see(world.told(founder.event, rival), world.mine(second))
    assert (await ledger.project(founder.project_id))["penalty_days"] == 10
    await ledger.see(world.undo(1), world.mine(first), world.mine(second))
    project = await ledger.project(founder.project_id)
    assert (project["penalty_days"], project["candidates"]) == (20, 2)
    assert json.loads(project["flags"]) == ["conflict"]


async def test_the_same_event_named_twice_is_no_conflict(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.mine(founder.found(), founder.found()))
    project = await ledger.project(founder.project_id)
    assert (project["status"], project["flags"]) == ("confirmed", "[]")


async def test_one_identifier_announced_with_other_terms_counts_as_two_candidates(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    rival = project_event(founder.author, founder.terms(penalty_days=20), START - 3 * DAY)
    await ledger.see(world.told(founder.event), world.told(rival))
    project = await ledger.project(founder.project_id)
    assert (project["candidates"], project["event_id"]) == (2, rival["id"])
    await ledger.see(world.mine(founder.found()))
    project = await ledger.project(founder.project_id)
    assert (project["status"], project["event_id"]) == ("confirmed", founder.event["id"])


@pytest.mark.parametrize("early", [False, True])
async def test_a_deletion_withdraws_an_announcement(
    ledger: Ledger, world: World, founder: Founder, early: bool
) -> None:
    steps = [world.told(founder.event), world.told(founder.withdraw())]
    await ledger.see(*(reversed(steps) if early else steps))
    assert await standing(ledger, founder) == ("rejected", "withdrawn")


async def test_a_deletion_by_somebody_else_withdraws_nothing(
    ledger: Ledger, world: World, founder: Founder, other_founder: Founder
) -> None:
    theirs = other_founder.signed(5, "", START, ("e", founder.event["id"]))
    await ledger.see(world.told(founder.event), world.told(theirs))
    assert await standing(ledger, founder) == ("announced", None)


async def test_what_was_committed_is_never_withdrawn(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    """Not even by a deletion that claims to be older: its date is the author's word."""
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    await ledger.see(world.told(founder.withdraw(START - 20 * DAY)))
    assert await standing(ledger, founder) == ("confirmed", None)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"network_name": "Main"}, "wrong_network"),
        ({"nostr_pubkey": "11" * 32}, "not_author"),
        ({"penalty_days": 1 << 31}, "bad_terms"),
    ],
)
async def test_bad_events_are_rejected_with_the_reason(
    ledger: Ledger, world: World, founder: Founder, terms: dict[str, Any], reason: str
) -> None:
    bad = project_event(founder.author, founder.terms(**terms), START)
    await ledger.see(world.told(bad))
    assert await standing(ledger, founder) == ("rejected", reason)
    await ledger.see(world.told(founder.event))
    assert await standing(ledger, founder) == ("announced", None)
    await ledger.see(world.mine(founder.found(bad["id"])))
    assert await standing(ledger, founder) == ("rejected", reason)


async def test_somebody_elses_founder_key_is_rejected(
    ledger: Ledger, world: World, founder: Founder, other_founder: Founder
) -> None:
    stolen = project_event(
        other_founder.author,
        other_founder.terms(claimed_identifier=founder.project_id),
        START,
    )
    await ledger.see(world.told(stolen))
    assert await standing(ledger, founder) == ("rejected", "not_founder_key")


async def test_a_founding_that_names_the_event_of_another_project_is_rejected(
    ledger: Ledger, world: World, founder: Founder, other_founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.told(other_founder.event))
    await ledger.see(world.mine(founder.found(other_founder.event["id"])))
    assert await standing(ledger, founder) == ("rejected", "other_event_committed")
    assert await standing(ledger, other_founder) == ("announced", None)


@pytest.mark.parametrize("late", [False, True])
async def test_a_founding_that_names_any_other_event_is_rejected(
    ledger: Ledger, world: World, founder: Founder, late: bool
) -> None:
    note = founder.signed(1, "hello", START)
    steps = [world.told(founder.event, note), world.mine(founder.found(note["id"]))]
    await ledger.see(*(reversed(steps) if late else steps))
    assert await standing(ledger, founder) == ("rejected", "bad_terms")


async def test_a_legacy_founding_is_decided_by_the_coins(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    rule = identifier(founder.key.public, network_named("regtest"), "legacy")
    founder.plan = founder.terms(claimed_identifier=rule)
    founder.event = project_event(founder.author, founder.plan, START)
    rival = project_event(
        founder.author,
        founder.terms(claimed_identifier=rule, penalty_days=20, recovery_key=founder.author.public),
        START - DAY,
    )
    await ledger.see(world.told(founder.event, rival), world.mine(founder.found_legacy()))
    project = await ledger.project(rule)
    assert (project["status"], json.loads(project["flags"])) == ("announced", ["legacy_founding"])
    await ledger.see(world.mine(founder.invested().tx))
    project = await ledger.project(rule)
    assert (project["status"], project["event_id"]) == ("confirmed", founder.event["id"])
    assert project["raised_sats"] == 990_000


def name_in(profile: Mapping[str, Any]) -> Any:
    return json.loads(profile["content"])["name"]


async def test_the_newest_profile_counts_and_the_lowest_id_of_two(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    def profile(name: str, at: int) -> Any:
        return founder.signed(0, json.dumps({"name": name}), at)

    twins = sorted((profile("left", START), profile("right", START)), key=lambda event: event["id"])
    await ledger.see(world.told(twins[1]), world.told(founder.event))
    assert (await ledger.project(founder.project_id))["name"] == json.loads(twins[1]["content"])[
        "name"
    ]
    await ledger.see(world.told(twins[0]), world.told(profile("older", START - DAY)))
    assert (await ledger.project(founder.project_id))["name"] == json.loads(twins[0]["content"])[
        "name"
    ]
    assert (await told_types(ledger)).count("project.profile") == 1


async def test_a_profile_from_the_future_is_refused(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    future = founder.signed(0, '{"name":"tomorrow"}', world.now + 2 * DAY)
    await ledger.see(world.told(founder.event), world.told(future))
    assert (await ledger.project(founder.project_id))["name"] is None
    assert [row["id"] for row in await ledger.rows(schema.event)] == [founder.event["id"]]


async def test_a_deleted_profile_gives_way_to_the_one_before(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    old = founder.signed(0, '{"name":"old"}', START - 9)
    new = founder.signed(0, '{"name":"new","about":"\\u0000x\\ud800"}', START - 8)
    await ledger.see(world.told(founder.event, old, new))
    project = await ledger.project(founder.project_id)
    assert (project["name"], project["about"]) == ("new", "x?")
    await ledger.see(world.told(founder.signed(5, "", START, ("e", new["id"]))))
    assert (await ledger.project(founder.project_id))["name"] == "old"


async def test_when_the_only_profile_is_deleted_none_is_left(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    only = founder.signed(0, '{"name":"only"}', START - 9)
    text = founder.signed(30078, "words", START - 9, ("d", "angor:project"))
    address = f"30078:{founder.author.xonly.hex()}:angor:project"
    await ledger.see(world.told(founder.event, only, text))
    gone = founder.signed(5, "", START, ("e", only["id"]), ("a", address))
    await ledger.see(world.told(gone))
    assert (await ledger.project(founder.project_id))["name"] is None
    assert await ledger.rows(schema.project_profile) == []
    await ledger.see(world.told(founder.signed(30078, "again", START + 1, ("d", "angor:project"))))
    (row,) = await ledger.rows(schema.project_profile)
    assert row["content"] == "again"


async def test_another_relay_that_holds_the_event_is_news_of_the_project(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.told(founder.event, relay="wss://two"))
    changes = await ledger.changes()
    assert [row["type"] for row in changes] == ["project.announced", "project.profile"]
    assert changes[-1]["data"]["relays"] == 2


async def test_the_order_of_events_and_foundings_does_not_matter(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    rival = project_event(founder.author, founder.terms(penalty_days=20), START)
    blocks = [world.mine(founder.found(rival["id"])), world.mine(founder.found())]
    await ledger.see(*blocks, world.told(founder.withdraw()), world.told(rival))
    late = await ledger.project(founder.project_id)
    assert (late["status"], late["penalty_days"]) == ("confirmed", 20)
    await ledger.see(world.told(founder.event))
    assert (await ledger.project(founder.project_id))["event_id"] == rival["id"]
