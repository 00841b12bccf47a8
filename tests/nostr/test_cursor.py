"""The cursor of a relay and a clock that is wrong: nothing is skipped when it is set right."""

import asyncio
import time
from typing import Any

import pytest
from tests.nostr.test_source import ids, projects

from raised.nostr.ports import RelayCursor
from raised_simnet.relays.relays import publish


@pytest.mark.parametrize("ahead", [1, 86_400, 10**9])
async def test_a_cursor_ahead_of_our_clock_is_no_cursor(
    follow: Any, start_relay: Any, record: Any, ahead: int
) -> None:
    """Our clock was wrong when it was stored: what came since then is behind no cursor."""
    relay, now = start_relay(), int(time.time())
    ahead = max(ahead, 60)
    record.cursors[relay.url] = RelayCursor(now + ahead, now + ahead)
    events = projects(4, now - 86_400)
    await asyncio.to_thread(publish, relay.url, events)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        assert record.events.keys() == ids(events)
        assert record.done[0].full
        assert record.cursors[relay.url].value <= time.time()


async def test_a_clock_that_is_set_back_while_we_follow_has_everything_read_again(
    follow: Any, start_relay: Any, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = start_relay()
    hours = 24

    def shifted_now() -> int:
        return int(time.time()) + hours * 3_600

    monkeypatch.setattr("raised.clock.now", shifted_now)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        assert record.done[0].began_at > time.time() + 80_000
        hours = 0
        await following.until(lambda: len(record.done) > 1)
        assert record.done[1].full
        assert record.done[1].began_at <= time.time()


async def test_a_clock_that_is_set_back_during_a_backfill_moves_no_cursor_ahead(
    follow: Any, start_relay: Any, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = start_relay()
    times = [86_400.0]  # ahead, when the back-fill begins
    first = True

    def shifted_now() -> int:
        return int(time.time() + times[0])

    async def cursor(name: str) -> RelayCursor | None:
        nonlocal first
        loop = asyncio.get_running_loop()
        if first:  # the plan of the first back-fill is made now
            loop.call_later(0.01, times.__setitem__, 0, 0.0)
        first = False
        found: RelayCursor | None = record.cursors.get(name)
        return found

    monkeypatch.setattr("raised.clock.now", shifted_now)
    monkeypatch.setattr(record, "relay_cursor", cursor)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        assert record.cursors[relay.url].value <= time.time()
