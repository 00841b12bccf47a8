"""The patch of the library is an optional gain: without it, or without room, nothing is lost."""

import asyncio
from typing import Any

import pytest

from raised.nostr import connection, sdk_patch
from raised_simnet.actors.nostr_event import sign_event
from raised_simnet.relays.relays import publish

FOUNDER = bytes(31) + b"\x05"
EVENTS = [
    sign_event(FOUNDER, kind=3030, content=f"{n}", created_at=1_700_000_000 + n) for n in range(400)
]


async def arrive_live(follow: Any, relay: Any) -> None:
    async with follow(relay) as following:
        record = following.record
        await following.until(lambda: record.done)
        await asyncio.to_thread(publish, relay.url, EVENTS)
        await following.until(lambda: len(record.events) == len(EVENTS))
        assert following.state(relay) == ("ok", None)


async def test_an_unknown_version_is_left_alone(
    follow: Any, honest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_patch, "KNOWN_VERSION", "0")
    assert not sdk_patch.answer_at_once()
    await arrive_live(follow, honest())


async def test_the_known_version_has_what_is_patched(follow: Any, honest: Any) -> None:
    """Fails with a new version of the library: then look at its callbacks again."""
    assert sdk_patch.answer_at_once()
    assert sdk_patch.answer_at_once()
    await arrive_live(follow, honest())


async def test_without_room_the_relay_waits(
    follow: Any, honest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ARRIVED_MAX", 2)
    await arrive_live(follow, honest())
