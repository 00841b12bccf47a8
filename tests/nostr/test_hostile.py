"""A relay that misbehaves is named by health, and affects no other; no valid event is lost."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.hostile_relay import HostileRelay, Mode

from raised.nostr.settings import ProxySettings, RelaySettings
from raised_simnet.actors.nostr_event import sign_event
from raised_simnet.relays.relays import publish

FOUNDER, OTHER = bytes(31) + b"\x05", bytes(31) + b"\x06"
MINE = [
    sign_event(FOUNDER, kind=3030, content=f"{{{n}", created_at=1_700_000_000 + n) for n in range(8)
]
THEIRS = [
    sign_event(OTHER, kind=3030, content=f"{{{n}", created_at=1_700_000_000 + n) for n in range(8)
]
GENUINE = {event["id"]: event["content"] for event in MINE + THEIRS}


def contents(record: Any) -> dict[str, str]:
    return {event.id: event.content for event in record.events.values()}


@pytest.fixture
async def honest_relay(start_relay: Any) -> Any:
    relay = start_relay()
    await asyncio.to_thread(publish, relay.url, MINE)
    return relay


@pytest.mark.parametrize(
    ("mode", "accepted", "codes"),
    [
        (Mode.GARBAGE, THEIRS, {"unusable"}),
        (Mode.BAD_SIGNATURES, [], {"unusable"}),
        (Mode.FORGED_IDS, [], {"unusable"}),
        (Mode.SWAPPED, THEIRS, {"forged"}),
        (Mode.SWAPPED_FIRST, THEIRS, {"unusable", "forged"}),
        (Mode.UNREQUESTED, THEIRS, {"unusable"}),
    ],
)
async def test_valid_events_among_bad_data_are_recorded_and_the_relay_is_named(
    follow: Any,
    honest_relay: Any,
    hostile: HostileRelay,
    mode: Mode,
    accepted: list[Any],
    codes: set[str],
) -> None:
    hostile.events, hostile.mode = list(THEIRS), mode
    async with follow(hostile, honest_relay) as following:
        record = following.record
        await following.until(lambda: len(record.done) == 2)
        await following.until(lambda: following.state(hostile)[1] in codes)
        assert following.state(hostile)[0] == "degraded"
        assert following.state(honest_relay) == ("ok", None)
    assert contents(record) == {e["id"]: GENUINE[e["id"]] for e in [*MINE, *accepted]}
    assert (record.health[hostile.url].facts["forged"] > 0) == (codes == {"forged"}) or len(
        codes
    ) > 1


async def test_a_known_id_with_other_content_is_never_read(
    follow: Any, honest_relay: Any, hostile: HostileRelay
) -> None:
    """The library accepts it: its verification cache is keyed by the id alone."""
    hostile.mode = Mode.SWAPPED
    hostile.events = list(MINE)
    async with follow(honest_relay, hostile) as following:
        record = following.record
        await following.until(lambda: len(record.done) == 2)
        await following.until(lambda: following.state(hostile) == ("degraded", "forged"))
        assert contents(record) == {event["id"]: event["content"] for event in MINE}
        following.source.request_full_backfill()
        await following.until(lambda: len(record.done) == 4)
        assert contents(record) == {event["id"]: event["content"] for event in MINE}
        assert record.health[hostile.url].facts["forged"] >= 8


async def test_a_flood_of_valid_events_is_recorded_and_delays_no_other_relay(
    follow: Any, honest_relay: Any, hostile: HostileRelay
) -> None:
    hostile.mode, hostile.flood_size = Mode.FLOOD, 20_000
    hostile.events = list(THEIRS)
    hostile.flood_may_end.clear()
    await asyncio.to_thread(hostile.flood_events)
    async with follow(hostile, honest_relay, page_timeout=DEADLINE_SECONDS) as following:
        record = following.record
        await following.until(lambda: len(record.events) > 1_000)
        for n in range(5):
            live = sign_event(FOUNDER, kind=3030, content=f"live {n}", created_at=int(time.time()))
            await asyncio.to_thread(publish, honest_relay.url, [live])
            await following.until(lambda live=live: live["id"] in record.events)
        hostile.flood_may_end.set()
        await following.until(lambda: len(record.events) == 20_000 + 8 + 8 + 5)
        await following.until(lambda: record.health[hostile.url].errors["flood"])
        assert following.state(hostile)[0] == "degraded"
        assert following.state(honest_relay) == ("ok", None)


@pytest.mark.parametrize("mode", [Mode.SILENT, Mode.ENDLESS, Mode.NOTICE])
async def test_a_relay_that_does_not_answer_is_down(
    follow: Any, honest_relay: Any, hostile: HostileRelay, mode: Mode
) -> None:
    hostile.events, hostile.mode = list(THEIRS), mode
    async with follow(hostile, honest_relay, eose_timeout=0.2) as following:
        record = following.record
        await following.until(lambda: following.state(hostile) == ("down", "silent"))
        await following.until(lambda: len(record.done) == 1)
        if mode is Mode.NOTICE:
            assert record.health[hostile.url].errors["notice"] >= 1
        hostile.mode = Mode.HONEST
        await following.until(lambda: len(record.done) == 2)
        assert contents(record) == GENUINE
        await following.until(lambda: following.state(hostile)[0] == "ok")


async def test_a_relay_that_falls_silent_later_is_noticed(
    follow: Any, hostile: HostileRelay
) -> None:
    async with follow(hostile, eose_timeout=0.2, probe_after=0.2) as following:
        await following.until(lambda: following.state(hostile)[0] == "ok")
        hostile.mode = Mode.SILENT
        await following.until(lambda: following.state(hostile) == ("down", "silent"))
        hostile.mode, hostile.events = Mode.HONEST, list(THEIRS)
        await following.until(lambda: following.state(hostile)[0] == "ok")
        following.source.request_full_backfill()
        await following.until(lambda: len(following.record.events) == 8)


async def test_a_relay_that_disconnects_in_the_middle_of_a_message(
    follow: Any, honest_relay: Any, hostile: HostileRelay
) -> None:
    hostile.events, hostile.mode = list(THEIRS), Mode.CUT
    async with follow(hostile, honest_relay) as following:
        record = following.record
        await following.until(lambda: following.state(hostile) == ("down", "lost"))
        await following.until(lambda: len(record.done) == 1)
        hostile.mode = Mode.HONEST
        await following.until(lambda: contents(record) == GENUINE)
        await following.until(lambda: following.state(hostile)[0] == "ok")


async def test_a_relay_that_is_down_for_a_while(follow: Any, hostile: HostileRelay) -> None:
    hostile.events = list(THEIRS)
    async with follow(hostile) as following:
        for turn in range(1, 5):
            await following.until(lambda turn=turn: len(following.record.done) == turn)
            hostile.disconnect()
            await following.until(lambda: following.state(hostile)[0] == "down")
            hostile.listen()
        await following.until(lambda: len(following.record.done) == 5)
    assert len(following.record.events) == 8


async def test_a_relay_that_closes_every_subscription_is_named_and_tried_again(
    follow: Any, honest_relay: Any, hostile: HostileRelay
) -> None:
    hostile.events, hostile.mode = list(THEIRS), Mode.CLOSED
    async with follow(hostile, honest_relay) as following:
        record = following.record
        await following.until(lambda: following.state(hostile)[0] == "degraded")
        assert record.health[hostile.url].errors["closed"] >= 1
        ended = f"backfill {hostile.url}"
        await following.until(  # nobody waits for it
            lambda: any(p.what == ended and p.done == p.total for p in record.progress)
        )
        hostile.mode = Mode.HONEST
        await following.until(lambda: contents(record) == GENUINE)
        await following.until(lambda: following.state(hostile)[0] == "ok")


@pytest.mark.parametrize(
    ("name", "code"), [("closed_kinds", "auth_wanted"), ("silent_kinds", "silent")]
)
async def test_a_filter_that_is_refused_stops_no_other(
    follow: Any, hostile: HostileRelay, record: Any, name: str, code: str
) -> None:
    """Relays that keep direct messages for those who authenticate are read all the same."""
    record.keys = [MINE[0]["pubkey"]]
    hostile.events = list(THEIRS)
    setattr(hostile, name, frozenset({4}))
    async with follow(hostile, eose_timeout=0.3) as following:
        await following.until(lambda: len(record.events) == len(THEIRS))
        await following.until(lambda: following.state(hostile)[0] == "degraded")
        await following.until(lambda: record.health[hostile.url].errors.get(code))
        assert not record.done
        hostile.closed_kinds = hostile.silent_kinds = frozenset()
        await following.until(lambda: record.done)
        await following.until(lambda: following.state(hostile)[0] == "ok")


async def test_events_published_while_a_subscription_was_closed_are_read_back(
    follow: Any, hostile: HostileRelay
) -> None:
    async with follow(hostile) as following:
        record = following.record
        await following.until(lambda: record.done)
        hostile.mode = Mode.CLOSED
        names = [str(message[1]) for message in hostile.received if message[0] == "REQ"]
        for name in filter(lambda name: name.startswith("live-"), names):
            hostile.broadcast("CLOSED", name, "error: too many")
        await following.until(lambda: record.health[hostile.url].errors.get("closed"))
        now = int(time.time())
        hostile.events = [sign_event(OTHER, kind=3030, content="{", created_at=now)]
        hostile.mode = Mode.HONEST
        await following.until(lambda: len(record.events) == 1)
        await following.until(lambda: len(record.done) == 2)


async def test_a_relay_that_wants_authentication_is_reported(
    follow: Any, honest_relay: Any, hostile: HostileRelay
) -> None:
    hostile.events, hostile.mode = list(THEIRS), Mode.AUTH
    async with follow(hostile, honest_relay) as following:
        record = following.record
        await following.until(lambda: following.state(hostile) == ("degraded", "auth_wanted"))
        await following.until(lambda: len(record.done) == 1)
        assert record.health[hostile.url].facts["auth"] == "wanted"
        assert contents(record) == {event["id"]: event["content"] for event in MINE}


async def test_with_a_key_we_authenticate(
    follow: Any, hostile: HostileRelay, tmp_path: Path
) -> None:
    hostile.events, hostile.mode = list(THEIRS), Mode.AUTH
    key = tmp_path / "key"
    key.write_text(f"{OTHER.hex()}\n")
    async with follow(RelaySettings(hostile.url, auth_key_file=key)) as following:
        record = following.record
        await following.until(lambda: record.done)
        await following.until(lambda: following.state(hostile)[0] == "ok")
        assert record.health[hostile.url].facts["auth"] == "ok"
        assert len(record.events) == 8


async def test_without_its_proxy_a_relay_is_not_connected_directly(
    follow: Any, hostile: HostileRelay
) -> None:
    proxy = ProxySettings("socks5h://127.0.0.1:9", "all")
    async with follow(hostile, proxy=proxy) as following:
        await following.until(lambda: following.state(hostile)[0] == "down")
        await asyncio.to_thread(time.sleep, 0.3)
    assert hostile.connections == 0


async def test_other_relays_do_not_use_the_proxy_for_onions(
    follow: Any, hostile: HostileRelay
) -> None:
    proxy = ProxySettings("socks5h://127.0.0.1:9", "onion")
    async with follow(hostile, proxy=proxy) as following:
        await following.until(lambda: following.state(hostile)[0] == "ok")
