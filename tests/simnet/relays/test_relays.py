from collections.abc import Iterator
from pathlib import Path

import pytest

from raised.domain.event import event_from_json, is_authentic
from raised_simnet.actors.nostr_event import Event, sign_event
from raised_simnet.relays.relays import Relay, RelayFailed, publish, stored

FOUNDER = bytes(31) + b"\x05"


def announcement(created_at: int, content: str = "{}") -> Event:
    return sign_event(FOUNDER, kind=3030, content=content, created_at=created_at, tags=[["d", "x"]])


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(tmp_path / "events")
    relay.start()
    yield relay
    relay.kill()


@pytest.fixture
def in_memory() -> Iterator[Relay]:
    relay = Relay()
    relay.start()
    yield relay
    relay.kill()


def test_our_events_are_valid() -> None:
    event = announcement(5, 'with "quotes", ünïcode,\nlines and </tags>')
    assert is_authentic(event_from_json(dict(event)))


def test_a_relay_serves_what_was_published_whatever_its_date(lasting: Relay) -> None:
    events = [announcement(at) for at in (0, 1_000_000_000, 2_000_000_000)]
    assert publish(lasting.url, events) == {}
    assert stored(lasting.url, kinds=[3030]) == events[::-1]


def test_a_relay_refuses_a_forged_event_and_says_so(lasting: Relay) -> None:
    forged = Event(**{**announcement(1), "content": "other"})
    assert list(publish(lasting.url, [forged, announcement(2)])) == [forged["id"]]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_events_survive_a_restart_on_the_same_port(lasting: Relay, end: str) -> None:
    events = [announcement(at) for at in range(20)]
    publish(lasting.url, events)
    url = lasting.url
    getattr(lasting, end)()
    assert not lasting.running
    with pytest.raises(OSError, match="refused"):
        stored(url, kinds=[3030])
    lasting.start()
    assert lasting.url == url
    assert len(stored(url, kinds=[3030])) == 20


def test_without_a_directory_a_restart_forgets() -> None:
    relay = Relay()
    relay.start()
    try:
        publish(relay.url, [announcement(1)])
        relay.kill()
        relay.start()
        assert stored(relay.url, kinds=[3030]) == []
    finally:
        relay.stop()


def test_more_events_than_one_connection_may_carry_are_published(in_memory: Relay) -> None:
    events = [announcement(at) for at in range(6_500)]
    assert publish(in_memory.url, events) == {}
    assert len(stored(in_memory.url, kinds=[3030], since=6_400)) == 100


def test_a_taken_port_is_an_error(lasting: Relay) -> None:
    other = Relay(port=int(lasting.url.rsplit(":", 1)[1].strip("/")))
    with pytest.raises(RelayFailed):
        other.start()
