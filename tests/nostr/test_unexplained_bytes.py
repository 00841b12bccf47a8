"""Events that the library leaves out: they are fetched where they matter, and blame no relay."""

import time
from typing import Any

import pytest
from tests.rig.hostile_relay import HostileRelay, Mode
from tests.rig.odd_nostr_events import (
    event_beyond_all_dates,
    event_with_half_a_character,
    expired_event,
)

from raised_simnet.actors.nostr_event import sign_event

FOUNDER, STRANGER = bytes(31) + b"\x05", bytes(31) + b"\x06"
STORED = [sign_event(FOUNDER, kind=3030, content=f"{n}", created_at=100 + n) for n in range(3)]


@pytest.mark.parametrize("kind", [3030, 1, 20_001, 30078])
async def test_an_event_that_the_chain_names_is_fetched_although_it_has_expired(
    follow: Any, hostile: HostileRelay, record: Any, kind: int
) -> None:
    named = expired_event(FOUNDER, kind)
    hostile.events = [*STORED, named]
    record.missing = {named["id"]}
    async with follow(hostile) as following:
        await following.until(lambda: named["id"] in record.events)
        await following.until(lambda: record.done)
        await following.until(lambda: following.state(hostile) == ("ok", None))


@pytest.mark.parametrize(
    "make", [expired_event, event_with_half_a_character, event_beyond_all_dates]
)
async def test_what_anybody_can_publish_blames_no_relay(
    follow: Any, hostile: HostileRelay, record: Any, make: Any
) -> None:
    hostile.events = [*STORED, make(STRANGER)]
    async with follow(hostile) as following:
        await following.until(lambda: record.done)
        # The bytes are noticed, looked into, and found to be no fault.
        await following.until(lambda: _raw_requests(hostile))
        await following.until(lambda: not record.health[hostile.url].errors)
        assert following.state(hostile) == ("ok", None)


async def test_garbage_beside_an_expired_event_is_named(
    follow: Any, hostile: HostileRelay, record: Any
) -> None:
    hostile.events = [*STORED, expired_event(STRANGER)]
    hostile.mode = Mode.GARBAGE
    async with follow(hostile) as following:
        await following.until(lambda: following.state(hostile) == ("degraded", "unusable"))


@pytest.mark.parametrize("make", [event_with_half_a_character, event_beyond_all_dates])
async def test_a_named_event_that_cannot_be_read_is_told_and_not_requested_again_soon(
    follow: Any, hostile: HostileRelay, record: Any, make: Any
) -> None:
    odd = make(FOUNDER)
    hostile.events = [*STORED, odd]
    record.missing = {odd["id"]}
    async with follow(hostile, missing_interval=0.05) as following:
        await following.until(lambda: _problems(record, hostile) == [("odd_event", odd["id"])])
        assert following.state(hostile)[0] == "ok"
        before = len(_requests_by_id(hostile))
        late = sign_event(FOUNDER, kind=3030, content="", created_at=int(time.time()))
        record.missing.add(late["id"])
        hostile.events.append(late)
        following.source.wake()
        await following.until(lambda: late["id"] in record.events)
        later = _requests_by_id(hostile)[before:]
        assert not any(odd["id"] in ids for ids in later)
        record.missing.clear()
        following.source.wake()
        await following.until(lambda: _problems(record, hostile) == [])


def _problems(record: Any, relay: HostileRelay) -> list[tuple[str, str]]:
    health = record.health.get(relay.url)
    return [] if health is None else [(each.code, each.subject) for each in health.problems]


def _raw_requests(relay: HostileRelay) -> list[Any]:
    return [message for message in relay.received if message[:2] == ["REQ", "raw"]]


def _requests_by_id(relay: HostileRelay) -> list[list[str]]:
    conditions: list[Any] = [message[2] for message in relay.received if message[0] == "REQ"]
    return [each["ids"] for each in conditions if "ids" in each]
