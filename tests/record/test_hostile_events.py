"""Events that strangers made on purpose: the writer goes on, and what is true stays."""

import json
import random
import string

import pytest
from tests.record.conftest import Founder, Ledger, Load, Scenario, World

from raised.db import schema
from raised.db.engine import transact
from raised.db.facts.retention import drop_announced
from raised.domain.angor.network import network_named
from raised.domain.bitcoin.bech32 import encode
from raised.domain.bitcoin.curve import pubkey_from_secret, schnorr_sign
from raised.domain.event import Event, event_id, is_authentic
from raised.domain.observation import EventsSeen
from raised.record.relay_facts import check_event

NOW = 1_800_000_000
NOISE = random.Random(1)  # cannot be compressed, so no database makes it small


def signed(
    kind: int,
    content: str = "",
    tags: tuple[tuple[str, ...], ...] = (),
    created_at: int = NOW,
    secret: int = 7,
) -> Event:
    key = secret.to_bytes(32, "big")
    pubkey = pubkey_from_secret(key)[1:].hex()
    bare = Event("", pubkey, created_at, kind, tags, content, "")
    id_ = event_id(bare)
    sig = schnorr_sign(bytes.fromhex(id_), key).hex()
    event = Event(id_, pubkey, created_at, kind, tags, content, sig)
    assert is_authentic(event)
    return event


def noise(length: int) -> str:
    return "".join(NOISE.choices(string.ascii_letters + string.digits, k=length))


def page(*events: Event) -> EventsSeen:
    return EventsSeen("wss://relay", NOW, events)


async def is_alive(ledger: Ledger, story: Scenario) -> None:
    """The writer took the last page, and an honest project still comes through."""
    await ledger.see(story.event_seen(), *map(story.seen, story.heights))
    project = await ledger.project(story.project_id)
    assert project["status"] == "confirmed"
    assert project["raised_sats"] == story.expected["exactTotalsAtTip"]["inStages"]


ODD_TEXTS = ("", "\0", "a\0b", "x" * 100_000, noise(9_000), "\x01\x1f\x7f\u2028\ufeff", "🏔" * 5_000)
KINDS = (0, 4, 5, 3030, 10001, 10002, 30000, 30078)


@pytest.mark.parametrize("kind", KINDS)
async def test_any_text_in_content_and_tags_is_taken(
    scenario: Load, ledger: Ledger, kind: int
) -> None:
    for text in ODD_TEXTS:
        tags = tuple((name, text) for name in ("d", "e", "a", "p", "i", "r", text))
        await ledger.see(page(signed(kind, text, tags)), page(signed(kind, "", tags)))
    await is_alive(ledger, scenario("invest"))


def test_large_events_are_judged_each_time_and_never_kept_in_memory() -> None:
    network = network_named("angornet")
    small, large = signed(3030, "{}"), signed(3030, "{" + " " * 10_000)
    assert check_event(small, network) is check_event(small, network)
    assert check_event(large, network) is not check_event(large, network)
    tagged = signed(3030, "{}", (("",),) * 1_000)
    assert check_event(tagged, network) is not check_event(tagged, network)


async def test_a_deletion_chooses_among_many_profiles(ledger: Ledger) -> None:
    profiles = [signed(0, json.dumps({"name": f"{n}"}), created_at=NOW - 50 + n) for n in range(50)]
    await ledger.see(page(*profiles[:25]), page(*profiles[25:]))
    await ledger.see(page(signed(5, "", (("e", profiles[-1].id),))))
    (row,) = await ledger.rows(schema.project_profile)
    assert row["event_id"] == profiles[-2].id
    assert json.loads(row["content"]) == {"name": "48"}


NUMBERS = (
    "1e9999999999999999999",
    "1e400",
    "9" * 31,
    str(1 << 63),
    str(-(1 << 63)),
    "-1",
    "0.5",
    "[]",
)
FIELDS = (
    "version",
    "projectType",
    "startDate",
    "endDate",
    "expiryDate",
    "penaltyDays",
    "targetAmount",
    "penaltyThreshold",
    "stages",
    "networkName",
    "founderKey",
    "projectIdentifier",
    "nostrPubKey",
)


async def test_any_number_in_any_field_is_taken(ledger: Ledger, founder: Founder) -> None:
    """Terms are never half read: the project is announced with what fits, or rejected."""
    terms = json.loads(founder.event["content"])
    terms["networkName"] = "angornet"
    secret, events = 1_000, []
    for field in FIELDS:
        for number in NUMBERS:
            secret += 1
            pubkey = pubkey_from_secret(secret.to_bytes(32, "big"))[1:].hex()
            content = json.dumps({**terms, "nostrPubKey": pubkey, field: "@"})
            content = content.replace('"@"', number)
            created_at = (1 << 63) - 1 if secret % 2 else 0
            events.append(signed(3030, content, (), created_at, secret))
    await ledger.see(page(*events))
    project = await ledger.project(founder.project_id)
    assert project["status"] == "announced"
    assert all(change["data"] for change in await ledger.changes())


async def test_stage_dates_and_percentages_of_any_size_are_taken(
    ledger: Ledger, founder: Founder
) -> None:
    terms = json.loads(founder.event["content"])
    terms["networkName"] = "angornet"
    stages = [
        {"amountToRelease": "@", "releaseDate": 253_402_300_799},
        {"amountToRelease": 0, "releaseDate": 0},
    ]
    for secret, number in enumerate(("1E-28", "100.0000000000000000", "0e-9", "1e2"), 2_000):
        pubkey = pubkey_from_secret(secret.to_bytes(32, "big"))[1:].hex()
        content = json.dumps({**terms, "nostrPubKey": pubkey, "stages": stages * 500})
        await ledger.see(page(signed(3030, content.replace('"@"', number), (), secret, secret)))
    assert len(await ledger.rows(schema.stage)) == 1_000
    assert (await ledger.project(founder.project_id))["candidates"] == 4


async def test_hostile_profiles_show_what_can_be_shown(ledger: Ledger, founder: Founder) -> None:
    founder_secret = 3_000
    pubkey = pubkey_from_secret(founder_secret.to_bytes(32, "big"))[1:].hex()
    terms = json.loads(founder.event["content"])
    content = json.dumps({**terms, "networkName": "angornet", "nostrPubKey": pubkey})
    await ledger.see(page(signed(3030, content, (), NOW, founder_secret)))
    texts = (
        '{"name":"\\ud800half","about":"nul\\u0000"}',
        '{"name":' + "[" * 5_000 + "]" * 5_000 + "}",
        '{"name":' + "9" * 5_000 + "}",
        '{"name":{"a":1},"about":[],"picture":1e999}',
        json.dumps({"name": "x" * 90_000, "about": "y" * 90_000, "picture": "z" * 90_000}),
        "[" * 100_000,
        "[]",
        "",
    )
    for number, text in enumerate(texts):
        profile = signed(0, text, (), NOW - 100 + number, founder_secret)
        await ledger.see(page(profile))
        project = await ledger.project(founder.project_id)
        assert len(project["name"] or "") <= 200
    assert project["name"] is None


async def test_claims_that_were_rejected_are_let_go_like_announcements(
    ledger: Ledger, founder: Founder
) -> None:
    """Any key may claim any identifier: such rows must not pile up for ever."""
    claims = [
        signed(3030, json.dumps({"projectIdentifier": encode("angor", 0, bytes([n] * 20))}))
        for n in range(30)
    ]
    await ledger.see(page(*claims))
    assert {row["status"] for row in await ledger.rows(schema.project)} == {"rejected"}
    assert len(await transact(ledger.engine, drop_announced, 5)) == 25
    assert len(await ledger.rows(schema.project)) == 5


async def test_junk_that_claims_a_project_disturbs_it_nowhere(
    regtest_ledger: Ledger, world: World, founder: Founder
) -> None:
    """Before and after it is founded: other networks, other spellings, other authors, nothing."""
    ledger = regtest_ledger
    terms = json.loads(founder.event["content"])
    junk = [
        signed(3030, json.dumps({**terms, **change}), (), created_at)
        for change in (
            {"networkName": "Main"},
            {"networkName": "Liquid"},
            {"projectIdentifier": founder.project_id.upper()},
            {"projectIdentifier": founder.project_id[:-1].upper() + founder.project_id[-1]},
            {"nostrPubKey": "00" * 32},
            {"founderKey": founder.recovery.public.hex()},
            {"stages": None, "startDate": None},
        )
        for created_at in (0, NOW)
    ]
    await ledger.see(page(*junk), world.told(founder.event), world.mine(founder.found()))
    invested = founder.invested(1_000_000)
    await ledger.see(world.mine(invested.tx), page(*(signed(3030, one.content) for one in junk)))
    project = await ledger.project(founder.project_id)
    assert (project["status"], project["candidates"]) == ("confirmed", 1)
    assert project["event_id"] == founder.event["id"]
    assert project["raised_sats"] == 990_000
    assert json.loads(project["flags"]) == []
