"""One question to all relays."""

import asyncio
from typing import Any

from tests.rig.hostile_relay import HostileRelay, Mode

from raised.nostr.fetch_by_id import find_events
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import RelaySettings, RelayTiming
from raised_simnet.actors.nostr_event import sign_event
from raised_simnet.relays.relays import publish

FOUNDER = bytes(31) + b"\x05"
PACE = RelayTiming(connect=3, page=1.5)
A, B, NOWHERE, OTHER = (
    sign_event(FOUNDER, kind=3030, content=f"{{{n}", created_at=1_700_000_000 + n) for n in range(4)
)


def endpoints(*urls: str) -> list[RelayEndpoint]:
    return [RelayEndpoint(RelaySettings(url), None, PACE) for url in urls]


async def contents(urls: list[str], *wanted: Any) -> dict[str, str]:
    found = await find_events(endpoints(*urls), [event["id"] for event in wanted])
    return {id_: event.content for id_, event in found.items()}


async def test_each_relay_gives_what_it_has_and_one_that_is_away_nothing(honest: Any) -> None:
    first, second, away = honest(), honest(), honest()
    await asyncio.to_thread(publish, first.url, [A, OTHER])
    await asyncio.to_thread(publish, second.url, [A, B, OTHER])
    away.kill()
    found = await contents([first.url, second.url, away.url], A, B, NOWHERE, A)
    assert found == {A["id"]: A["content"], B["id"]: B["content"]}
    assert await contents([away.url], A) == {}


async def test_nothing_wanted_is_nothing_asked(hostile: HostileRelay) -> None:
    hostile.events = [A]
    assert await find_events(endpoints(hostile.url), []) == {}
    assert hostile.connections == 0


async def test_only_what_is_asked_for_and_authentic_is_found(hostile: HostileRelay) -> None:
    hostile.events = [A, B, OTHER]
    for mode, found in [
        (Mode.UNREQUESTED, [A, B]),
        (Mode.GARBAGE, [A, B]),
        (Mode.SWAPPED, [A, B]),
        (Mode.BAD_SIGNATURES, []),
        (Mode.FORGED_IDS, []),
        (Mode.CLOSED, []),
        (Mode.AUTH, []),
    ]:
        hostile.mode = mode
        expected = {event["id"]: event["content"] for event in found}
        assert await contents([hostile.url], A, B) == expected, mode


async def test_a_relay_that_cuts_the_line_or_is_silent_gives_what_it_gave(
    hostile: HostileRelay,
) -> None:
    hostile.events = [A, B]
    hostile.mode = Mode.CUT
    assert (await contents([hostile.url], A, B)).keys() <= {A["id"], B["id"]}
    hostile.mode = Mode.SILENT
    assert await contents([hostile.url], A, B) == {}
