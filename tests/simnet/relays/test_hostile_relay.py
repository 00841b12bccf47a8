import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS, wait_until
from tests.rig.hostile_relay import HostileRelay, Mode
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from raised.domain.event import event_from_json, is_authentic
from raised.errors import InvalidInput
from raised_simnet.actors.nostr_event import Event, sign_event
from raised_simnet.relays.relays import publish, stored

FOUNDER, OTHER = bytes(31) + b"\x05", bytes(31) + b"\x06"
EVENTS = [
    sign_event(FOUNDER, kind=3030, content=f"{at}", created_at=at, tags=[["d", f"{at}"]])
    for at in range(4)
]


@pytest.fixture
def relay() -> Iterator[HostileRelay]:
    relay = HostileRelay(EVENTS)
    relay.start()
    yield relay
    relay.stop()


def is_genuine(event: Event) -> bool:
    try:
        return is_authentic(event_from_json(dict(event)))
    except InvalidInput:
        return False


def conversation(relay: HostileRelay, message: Any, answers: int) -> list[Any]:
    """The answers to a message, in order; a moment later there are no more."""
    with connect(relay.url) as socket:
        socket.send(json.dumps(message))
        received = [json.loads(socket.recv(timeout=DEADLINE_SECONDS)) for _ in range(answers)]
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)
        wait_until(lambda: message in relay.received)
    return received


def test_when_honest_it_is_a_relay(relay: HostileRelay) -> None:
    assert stored(relay.url, kinds=[3030]) == EVENTS[::-1]
    assert stored(relay.url, kinds=[3030], limit=2, until=2) == [EVENTS[2], EVENTS[1]]
    assert stored(relay.url, ids=[EVENTS[1]["id"]]) == [EVENTS[1]]
    assert stored(relay.url, **{"#d": ["3"]}) == [EVENTS[3]]
    assert stored(relay.url, kinds=[1]) == []
    mine = sign_event(OTHER, kind=1, content="", created_at=9)
    assert publish(relay.url, [mine]) == {}
    assert stored(relay.url, authors=[mine["pubkey"]]) == [mine]


def test_garbage_comes_before_the_answer(relay: HostileRelay) -> None:
    relay.mode = Mode.GARBAGE
    with connect(relay.url) as socket:
        socket.send('["REQ","s",{}]')
        frames: list[str | bytes] = []
        while frames[-1:] != ['["EOSE","s"]']:
            frames.append(socket.recv(timeout=DEADLINE_SECONDS))
    assert "not json" in frames
    assert any(isinstance(frame, bytes) for frame in frames)
    assert sum(str(frame).startswith('["EVENT","s",{"id"') for frame in frames) == 5


def test_a_flood_is_of_valid_events(relay: HostileRelay) -> None:
    relay.mode, relay.flood_size = Mode.FLOOD, 50
    answer = stored(relay.url, kinds=[3030])
    assert len(answer) == 54
    assert all(map(is_genuine, answer))


@pytest.mark.parametrize(
    ("mode", "genuine"),
    [
        (Mode.BAD_SIGNATURES, [False] * 4),
        (Mode.FORGED_IDS, [False] * 4),
        (Mode.SWAPPED, [True, False] * 4),
        (Mode.SWAPPED_FIRST, [False, True] * 4),
    ],
)
def test_forgeries_do_not_verify(relay: HostileRelay, mode: Mode, genuine: list[bool]) -> None:
    relay.mode = mode
    answer = stored(relay.url, kinds=[3030])
    assert [is_genuine(event) for event in answer] == genuine
    known = {event["id"] for event in EVENTS}
    assert ({event["id"] for event in answer} == known) == (mode is not Mode.FORGED_IDS)


@pytest.mark.parametrize(
    ("mode", "verbs"),
    [
        (Mode.SILENT, []),
        (Mode.ENDLESS, ["EVENT"] * 4),
        (Mode.CLOSED, ["CLOSED"]),
        (Mode.NOTICE, ["NOTICE"]),
        (Mode.AUTH, ["AUTH", "CLOSED"]),
    ],
)
def test_refusals(relay: HostileRelay, mode: Mode, verbs: list[str]) -> None:
    relay.mode = mode
    received = conversation(relay, ["REQ", "s", {}], len(verbs))
    assert [message[0] for message in received] == verbs
    assert relay.received == [["REQ", "s", {}]]


def test_it_may_answer_what_was_not_asked(relay: HostileRelay) -> None:
    relay.mode = Mode.UNREQUESTED
    assert stored(relay.url, kinds=[1]) == EVENTS[::-1]


def test_after_authentication_it_serves(relay: HostileRelay) -> None:
    relay.mode = Mode.AUTH
    with connect(relay.url) as socket:
        challenge = json.loads(socket.recv(timeout=DEADLINE_SECONDS))[1]
        for said in ("wrong", challenge):
            tags = [["relay", relay.url], ["challenge", said]]
            event = sign_event(OTHER, kind=22242, content="", created_at=1, tags=tags)
            socket.send(json.dumps(["AUTH", event]))
            assert json.loads(socket.recv(timeout=DEADLINE_SECONDS))[2] == (said == challenge)
        socket.send('["REQ","s",{}]')
        assert json.loads(socket.recv(timeout=DEADLINE_SECONDS))[0] == "EVENT"


def test_it_cuts_the_line_in_the_middle_of_a_message(relay: HostileRelay) -> None:
    relay.mode = Mode.CUT
    with connect(relay.url) as socket:
        socket.send('["REQ","s",{}]')
        for _ in EVENTS[:2]:
            assert json.loads(socket.recv(timeout=DEADLINE_SECONDS))[0] == "EVENT"
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=DEADLINE_SECONDS)


def test_it_goes_and_comes_back_on_its_port(relay: HostileRelay) -> None:
    url = relay.url
    relay.disconnect()
    with pytest.raises(OSError, match="refused"):
        stored(url, kinds=[3030])
    relay.listen()
    assert len(stored(url, kinds=[3030])) == 4
