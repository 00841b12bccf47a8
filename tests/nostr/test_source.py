"""The source on real relays: every event arrives, once and verified, and the cursor moves."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.rig.hostile_relay import HostileRelay

from raised.domain.event import Event, event_from_json
from raised.errors import ConfigError
from raised.nostr.filters import HUB_ADMIN
from raised.nostr.ports import RelayCursor
from raised.nostr.settings import RelaySettings
from raised_simnet.actors.nostr_event import sign_event, xonly
from raised_simnet.relays.relays import Relay, publish

FOUNDER, INVESTOR, STRANGER = (bytes(31) + bytes([n]) for n in (5, 6, 7))
KEY = xonly(FOUNDER)


def projects(count: int, at: int = 1_700_000_000, secret: bytes = FOUNDER) -> list[Any]:
    return [
        sign_event(secret, kind=3030, content=f"{{{at}.{n}", created_at=at + n // 3)
        for n in range(count)
    ]


def ids(events: list[Any]) -> set[str]:
    return {event["id"] for event in events}


async def test_stored_and_new_events_arrive(follow: Any, start_relay: Any) -> None:
    relay = start_relay()
    stored = projects(1_250)
    await asyncio.to_thread(publish, relay.url, stored)
    async with follow(relay) as following:
        record = following.record
        await following.until(lambda: record.done)
        assert record.events.keys() == ids(stored)
        assert record.done[0].full
        assert abs(record.done[0].began_at - time.time()) < 10
        assert record.progress[-1].done == record.progress[-1].total
        live = projects(20, int(time.time()))
        await asyncio.to_thread(publish, relay.url, live)
        await following.until(lambda: record.events.keys() == ids(stored + live))
        await following.until(lambda: following.state(relay) == ("ok", None))
        health = record.health[relay.url]
        assert health.facts["backfill_complete"] is True
        assert health.facts["cursor_at"] == record.done[0].began_at
        assert health.last_success_at is not None
        assert health.latency_ms is not None
        await following.until(lambda: record.health[relay.url].facts["events"]["3030"] >= 1_270)
    assert record.repeats == 0


async def test_an_event_dated_long_ago_arrives_live_when_it_is_published_now(
    follow: Any, start_relay: Any
) -> None:
    relay = start_relay()
    await asyncio.to_thread(publish, relay.url, projects(5))
    async with follow(relay) as following:
        record = following.record
        await following.until(lambda: record.done)
        late = projects(7, 1_600_000_000)
        await asyncio.to_thread(publish, relay.url, late)
        await following.until(lambda: len(record.events) == 12)


async def test_several_relays_are_read_at_once_and_it_is_recorded_which_events_each_has(
    follow: Any, start_relay: Any
) -> None:
    relays = [start_relay() for _ in range(3)]
    events = projects(30)
    for n, relay in enumerate(relays):
        await asyncio.to_thread(publish, relay.url, events[: 10 * (n + 1)])
    async with follow(*relays) as following:
        record = following.record
        await following.until(lambda: len(record.done) == 3)
        assert record.events.keys() == ids(events)
        for n, relay in enumerate(relays):
            assert record.ids_by_relay[relay.url] == ids(events[: 10 * (n + 1)])


async def test_a_relay_that_is_down_delays_no_other(follow: Any, start_relay: Any) -> None:
    relay, gone = start_relay(), start_relay()
    gone.stop()
    events = projects(3)
    await asyncio.to_thread(publish, relay.url, events)
    async with follow(gone, relay) as following:
        record = following.record
        await following.until(lambda: record.done)
        assert record.events.keys() == ids(events)
        await following.until(lambda: following.state(gone) == ("down", "refused"))
        assert following.state(relay) == ("ok", None), record.health[relay.url]
        gone.start()
        await asyncio.to_thread(publish, gone.url, projects(2, secret=STRANGER))
        await following.until(lambda: len(record.events) == 5)
        await following.until(lambda: following.state(gone)[0] == "ok")


async def test_after_a_restart_of_the_relay_nothing_is_missing(follow: Any, tmp_path: Path) -> None:
    relay = Relay(tmp_path / "relay")
    relay.start()
    events = projects(600)
    await asyncio.to_thread(publish, relay.url, events)
    async with follow(relay) as following:
        record = following.record
        for turn in range(3):
            present = ids(events)
            await following.until(lambda ids=present: record.events.keys() == ids)
            relay.kill()
            await following.until(lambda: following.state(relay)[0] == "down")
            relay.start()
            late = projects(50, 1_690_000_000 + turn, STRANGER) if turn == 2 else []
            late += projects(50, int(time.time()) + turn, INVESTOR)
            await asyncio.to_thread(publish, relay.url, late)
            events += [event for event in late if event["created_at"] > 1_700_000_000]
        await following.until(lambda: record.events.keys() >= ids(events))
        following.source.request_full_backfill()  # no cursor reaches the back-dated
        await following.until(lambda: len(record.events) == 800)
    relay.stop()


async def test_a_start_with_a_cursor_reads_from_there_with_an_overlap(
    follow: Any, start_relay: Any, record: Any
) -> None:
    relay, now = start_relay(), int(time.time())
    old, recent = projects(5, now - 10_000), projects(5, now - 3_700)
    await asyncio.to_thread(publish, relay.url, old + recent)
    record.cursors[relay.url] = RelayCursor(now - 200, now - 300)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        assert record.events.keys() == ids(recent)
        assert not record.done[0].full
        assert record.cursors[relay.url].full_at == now - 300
        assert record.cursors[relay.url].value >= now


async def test_a_full_day_after_the_last_time_everything_is_read(
    follow: Any, start_relay: Any, record: Any
) -> None:
    relay, now = start_relay(), int(time.time())
    await asyncio.to_thread(publish, relay.url, projects(5))
    record.cursors[relay.url] = RelayCursor(now - 200, now - 90_000)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        assert len(record.events) == 5
        assert record.done[0].full


async def test_more_events_of_a_second_than_a_page_are_read_by_nip_77(
    follow: Any, start_relay: Any
) -> None:
    relay = start_relay()
    same = [
        sign_event(FOUNDER, kind=3030, content=f"{n}", created_at=1_700_000_000)
        for n in range(1_200)
    ]
    around = projects(40, 1_600_000_000) + projects(40, 1_700_000_100)
    await asyncio.to_thread(publish, relay.url, same + around)
    async with follow(relay) as following:
        await following.until(lambda: following.record.done, 40)
        assert following.record.events.keys() == ids(same + around)


async def test_events_of_a_project_are_requested_once_its_key_is_known(
    follow: Any, start_relay: Any
) -> None:
    relay, now = start_relay(), 1_700_000_000
    own = [
        sign_event(FOUNDER, kind=0, content="profile", created_at=now),
        sign_event(FOUNDER, kind=5, content="", created_at=now, tags=[["e", "0" * 64]]),
        sign_event(FOUNDER, kind=10002, content="", created_at=now),
        sign_event(FOUNDER, kind=30078, content="", created_at=now, tags=[["d", "angor:faq"]]),
    ]
    other = [
        sign_event(FOUNDER, kind=30078, content="", created_at=now, tags=[["d", "game"]]),
        sign_event(STRANGER, kind=0, content="profile", created_at=now),
        sign_event(STRANGER, kind=30000, content="", created_at=now, tags=[["d", "angor:deny"]]),
        sign_event(FOUNDER, kind=1, content="note", created_at=now),
    ]
    await asyncio.to_thread(publish, relay.url, own + other)
    async with follow(relay) as following:
        record = following.record
        await following.until(lambda: record.done)
        assert not record.events
        record.keys.append(KEY)
        following.source.wake()
        await following.until(lambda: record.events.keys() == ids(own))
        live = sign_event(FOUNDER, kind=0, content="newer", created_at=int(time.time()))
        await asyncio.to_thread(publish, relay.url, [live])
        await following.until(lambda: live["id"] in record.events)
        assert not record.events.keys() & ids(other)


async def test_messages_are_recorded_without_content(
    follow: Any, start_relay: Any, record: Any
) -> None:
    relay, now = start_relay(), 1_700_000_000
    subject = ["subject", "Investment offer"]
    to = sign_event(INVESTOR, kind=4, content="secret", created_at=now, tags=[["p", KEY], subject])
    other = sign_event(INVESTOR, kind=4, content="secret", created_at=now, tags=[["p", "0" * 64]])
    await asyncio.to_thread(publish, relay.url, [to, other])
    record.keys.append(KEY)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        assert record.events.keys() == {to["id"]}
        assert record.events[to["id"]].content == ""
        assert record.events[to["id"]].tag_values("subject") == ("Investment offer",)


async def test_an_event_that_a_founding_names_is_fetched_whatever_its_kind(
    follow: Any, start_relay: Any
) -> None:
    relay = start_relay()
    named = sign_event(STRANGER, kind=30078, content="{}", created_at=5, tags=[["d", "whatever"]])
    late = sign_event(STRANGER, kind=31_000, content="{}", created_at=5, tags=[["d", "late"]])
    await asyncio.to_thread(publish, relay.url, [named])
    async with follow(relay, missing_interval=0.1) as following:
        record = following.record
        await following.until(lambda: record.done)
        record.missing = {named["id"], late["id"]}
        following.source.wake()
        await following.until(lambda: record.events.keys() == {named["id"]})
        await asyncio.to_thread(publish, relay.url, [late])
        await following.until(lambda: record.events.keys() == {named["id"], late["id"]})


DATES = (0, 1_000_000, int(time.time()) + 7_200, int(time.time()) + 365 * 86_400, 1 << 53)


@pytest.mark.parametrize("way", ["live", "stored", "by id"])
async def test_an_event_of_any_date_arrives(
    follow: Any, start_relay: Any, record: Any, way: str
) -> None:
    """Dates decide nothing for kinds of which every event counts."""
    relay = start_relay()
    kind = 31_000 if way == "by id" else 3030
    tags = [["d", "x"]] if way == "by id" else []
    secrets = [bytes(31) + bytes([50 + n]) for n in range(len(DATES))]
    events = [
        sign_event(secret, kind=kind, content="{", created_at=at, tags=tags)
        for secret, at in zip(secrets, DATES, strict=True)
    ]
    if way == "by id":
        record.missing = ids(events)
    if way != "live":
        assert not await asyncio.to_thread(publish, relay.url, events)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        if way == "live":
            assert not await asyncio.to_thread(publish, relay.url, events)
        await following.until(lambda: record.events.keys() == ids(events))
        await following.until(lambda: following.state(relay) == ("ok", None))


async def test_a_profile_from_the_future_is_left_out_and_no_relay_is_to_blame(
    follow: Any, start_relay: Any, record: Any
) -> None:
    relay, now = start_relay(), int(time.time())
    record.keys = [xonly(STRANGER)]
    events = [
        sign_event(STRANGER, kind=0, content="{}", created_at=now + 100_000),
        *projects(1, secret=STRANGER),
    ]
    await asyncio.to_thread(publish, relay.url, events)
    async with follow(relay) as following:
        await following.until(lambda: record.done)
        assert record.events.keys() == {events[1]["id"]}
        await following.until(lambda: record.health[relay.url].errors.get("from_the_future"))
        assert following.state(relay) == ("ok", None)


async def test_a_relay_that_may_be_written_to_gets_what_it_lacks(
    follow: Any, start_relay: Any, record: Any
) -> None:
    full, empty = start_relay(), start_relay()
    events = projects(4)
    record.project_events = [event_from_json(dict(event)) for event in events]
    await asyncio.to_thread(publish, full.url, events)
    async with follow(
        full, RelaySettings(empty.url, write=True), missing_interval=0.1
    ) as following:
        await following.until(lambda: record.ids_by_relay.get(empty.url, set()) == ids(events))
    record.cursors.clear()
    async with follow(empty) as following:
        await following.until(lambda: record.health[empty.url].facts["events"].get("3030", 0) >= 4)


async def test_an_event_that_a_relay_refuses_is_written_once(
    follow: Any, start_relay: Any, record: Any
) -> None:
    relay = start_relay()
    bad, event = (event_from_json(dict(event)) for event in projects(2))
    record.events[event.id] = event
    record.project_events = [replace(bad, sig="0" * 128), event]
    async with follow(RelaySettings(relay.url, write=True), missing_interval=0.05) as following:
        await following.until(lambda: record.ids_by_relay.get(relay.url) == {event.id})
        await following.until(lambda: record.health[relay.url].errors.get("not_written"))


async def test_keys_that_are_no_longer_wanted_are_unsubscribed(
    follow: Any, hostile: HostileRelay, record: Any
) -> None:
    record.keys = [KEY]
    async with follow(hostile) as following:
        await following.until(lambda: record.done)
        record.keys = []
        following.source.wake()
        await following.until(
            lambda: any(
                verb == "CLOSE" and str(rest[0]).startswith("live-")
                for verb, *rest in hostile.received
            )
        )


async def test_the_hubs_lists_are_its_administrators_alone(follow: Any, start_relay: Any) -> None:
    event = Event("0" * 64, HUB_ADMIN, 0, 30000, (("d", "angor:deny"),), "", "0" * 128)
    assert event.pubkey == HUB_ADMIN
    relay = start_relay()
    mine = sign_event(STRANGER, kind=10001, content="", created_at=5)
    await asyncio.to_thread(publish, relay.url, [mine])
    async with follow(relay) as following:
        await following.until(lambda: following.record.done)
        assert not following.record.events


async def test_relays_can_be_replaced_while_running(follow: Any, start_relay: Any) -> None:
    first, second = start_relay(), start_relay()
    await asyncio.to_thread(publish, first.url, projects(1))
    await asyncio.to_thread(publish, second.url, projects(2, secret=STRANGER))
    async with follow(first) as following:
        record = following.record
        await following.until(lambda: len(record.events) == 1)
        with pytest.raises(ConfigError):
            following.source.replace([RelaySettings("not an address")])
        following.source.replace([RelaySettings(second.url)])
        await following.until(lambda: len(record.events) == 3)
        late = projects(1, int(time.time()))
        await asyncio.to_thread(publish, first.url, late)
        both = projects(1, int(time.time()), STRANGER)
        await asyncio.to_thread(publish, second.url, both)
        await following.until(lambda: both[0]["id"] in record.events)
        assert late[0]["id"] not in record.events
