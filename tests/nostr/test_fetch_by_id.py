"""Events by their ids from all relays."""

import asyncio
from typing import Any

from tests.rig.hostile_relay import HostileRelay, Mode
from tests.rig.odd_nostr_events import expired_event

from raised.nostr.fetch_by_id import find_events
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelaySettings, RelayTiming
from raised_simnet.actors.nostr_event import sign_event
from raised_simnet.relays.relays import publish

FOUNDER = bytes(31) + b"\x05"
TIMING = RelayTiming(connect_timeout=3, page_timeout=1.5)
A, B, NOWHERE, OTHER = (
    sign_event(FOUNDER, kind=3030, content=f"{{{n}", created_at=1_700_000_000 + n) for n in range(4)
)


def endpoints(*urls: str) -> list[RelayEndpoint]:
    return [RelayEndpoint(RelaySettings(url), None, TIMING) for url in urls]


async def contents(urls: list[str], *wanted: Any) -> dict[str, str]:
    events = await find_events(endpoints(*urls), [event["id"] for event in wanted])
    return {id_: event.content for id_, event in events.items()}


async def test_each_relay_gives_the_events_it_has_and_one_that_is_down_none(
    start_relay: Any,
) -> None:
    first, second, down = start_relay(), start_relay(), start_relay()
    await asyncio.to_thread(publish, first.url, [A, OTHER])
    await asyncio.to_thread(publish, second.url, [A, B, OTHER])
    down.kill()
    result = await contents([first.url, second.url, down.url], A, B, NOWHERE, A)
    assert result == {A["id"]: A["content"], B["id"]: B["content"]}
    assert await contents([down.url], A) == {}


async def test_without_ids_no_relay_is_connected(hostile: HostileRelay) -> None:
    hostile.events = [A]
    assert await find_events(endpoints(hostile.url), []) == {}
    assert hostile.connections == 0


async def test_only_requested_and_authentic_events_are_returned(hostile: HostileRelay) -> None:
    hostile.events = [A, B, OTHER]
    for mode, events in [
        (Mode.UNREQUESTED, [A, B]),
        (Mode.GARBAGE, [A, B]),
        (Mode.SWAPPED, [A, B]),
        (Mode.BAD_SIGNATURES, []),
        (Mode.FORGED_IDS, []),
        (Mode.CLOSED, []),
        (Mode.AUTH, []),
    ]:
        hostile.mode = mode
        expected = {event["id"]: event["content"] for event in events}
        assert await contents([hostile.url], A, B) == expected, mode


async def test_an_event_that_has_expired_is_found(hostile: HostileRelay) -> None:
    """The library drops it unseen."""
    expired = expired_event(FOUNDER)
    hostile.events = [A, expired]
    assert (await contents([hostile.url], A, expired)).keys() == {A["id"], expired["id"]}


async def test_a_relay_that_disconnects_or_is_silent_gives_what_it_sent_before(
    hostile: HostileRelay,
) -> None:
    hostile.events = [A, B]
    hostile.mode = Mode.CUT
    assert (await contents([hostile.url], A, B)).keys() <= {A["id"], B["id"]}
    hostile.mode = Mode.SILENT
    assert await contents([hostile.url], A, B) == {}
