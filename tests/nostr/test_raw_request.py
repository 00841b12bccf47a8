"""A REQ without the library: every frame of the answer is looked at."""

import asyncio
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.rig.hostile_relay import HostileRelay, Mode
from tests.rig.odd_nostr_events import (
    event_beyond_all_dates,
    event_with_half_a_character,
    expired_event,
)

from raised.errors import Unavailable
from raised.nostr.raw_request import RawAnswer, request_raw
from raised.nostr.sdk_client import RelayEndpoint
from raised.nostr.settings import ProxySettings, RelaySettings, RelayTiming
from raised_simnet.actors.nostr_event import sign_event

SECRET = bytes(31) + b"\x05"
TIMING = RelayTiming(connect_timeout=3, eose_timeout=0.5)
STORED = [sign_event(SECRET, kind=3030, content=f"{n}", created_at=5 + n) for n in range(3)]
EXPIRED = expired_event(SECRET)
NUL = sign_event(SECRET, kind=3030, content="\0", created_at=5)
PROTECTED = sign_event(SECRET, kind=3030, content="", created_at=5, tags=[["-"]])
ODD_EXPIRY = sign_event(SECRET, kind=3030, content="", created_at=5, tags=[["expiration", "x"]])
SHORT_LIVED = sign_event(SECRET, kind=20_001, content="", created_at=5)


def endpoint(url: str, **options: Any) -> RelayEndpoint:
    proxy = options.pop("proxy", None)
    return RelayEndpoint(RelaySettings(url, **options), proxy, TIMING)


def ids(answer: RawAnswer) -> set[str]:
    return {event.id for event in answer.events}


async def test_what_the_library_leaves_out_is_received(hostile: HostileRelay) -> None:
    hostile.events = [*STORED, EXPIRED, NUL, PROTECTED, ODD_EXPIRY, SHORT_LIVED]
    answer = await request_raw(
        endpoint(hostile.url), {"ids": [event["id"] for event in hostile.events]}
    )
    assert ids(answer) == {event["id"] for event in hostile.events}
    assert (answer.garbage, answer.odd_ids, answer.is_whole) == (0, set(), True)


@pytest.mark.parametrize("make", [event_with_half_a_character, event_beyond_all_dates])
async def test_what_an_author_signed_and_nobody_can_read_is_no_garbage(
    hostile: HostileRelay, make: Any
) -> None:
    odd = make(SECRET)
    hostile.events = [odd, STORED[0]]
    answer = await request_raw(endpoint(hostile.url), {"kinds": [3030]})
    assert (ids(answer), answer.garbage) == ({STORED[0]["id"]}, 0)
    assert answer.odd_ids == {odd["id"]}
    odd["content"] = "other"
    answer = await request_raw(endpoint(hostile.url), {"kinds": [3030]})
    assert (answer.garbage, answer.odd_ids) == (1, set())


@pytest.mark.parametrize(
    "mode",
    [Mode.GARBAGE, Mode.BAD_SIGNATURES, Mode.FORGED_IDS, Mode.SWAPPED, Mode.UNREQUESTED],
)
async def test_what_nobody_signed_is_garbage(hostile: HostileRelay, mode: Mode) -> None:
    other = sign_event(SECRET, kind=1, content="", created_at=5)
    hostile.events, hostile.mode = [*STORED, other], mode
    answer = await request_raw(endpoint(hostile.url), {"kinds": [3030]})
    assert answer.garbage > 0
    assert ids(answer) <= {event["id"] for event in STORED}


@pytest.mark.parametrize("mode", [Mode.SILENT, Mode.NOTICE, Mode.CLOSED, Mode.ENDLESS, Mode.CUT])
async def test_an_answer_without_its_end_is_not_whole(hostile: HostileRelay, mode: Mode) -> None:
    hostile.events, hostile.mode = STORED, mode
    answer = await request_raw(endpoint(hostile.url), {"kinds": [3030]})
    assert not answer.is_whole
    assert (answer.garbage, answer.odd_ids) == (0, set())


async def test_without_a_connection_it_is_unavailable(hostile: HostileRelay) -> None:
    hostile.disconnect()
    with pytest.raises(Unavailable):
        await request_raw(endpoint(hostile.url), {"kinds": [3030]})
    hostile.listen()


async def test_it_authenticates_with_a_key(hostile: HostileRelay, tmp_path: Path) -> None:
    hostile.events, hostile.mode = STORED, Mode.AUTH
    answer = await request_raw(endpoint(hostile.url), {"kinds": [3030]})
    assert not answer.is_whole
    key = tmp_path / "key"
    key.write_text(SECRET.hex())
    answer = await request_raw(endpoint(hostile.url, auth_key_file=key), {"kinds": [3030]})
    assert answer.is_whole
    assert ids(answer) == {event["id"] for event in STORED}


class SocksProxy:
    """A SOCKS5 proxy for one connection, to a fixed address; `names`: the hosts asked for."""

    def __init__(self, port: int) -> None:
        self.names: list[str] = []
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        client, _ = self._server.accept()
        self._server.close()
        with client, socket.create_connection(("127.0.0.1", self._target)) as target:
            client.recv(3)
            client.sendall(b"\x05\x00")
            request = client.recv(300)
            self.names.append(request[5 : 5 + request[4]].decode())
            client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
            back = threading.Thread(target=_copy, args=(target, client))
            back.start()
            _copy(client, target)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


async def test_the_proxy_is_used_and_resolves_the_name(hostile: HostileRelay) -> None:
    hostile.events = STORED
    port = int(hostile.url.rsplit(":", 1)[1])
    proxy = SocksProxy(port)
    settings = ProxySettings(f"socks5h://127.0.0.1:{proxy.port}", "onion")
    answer = await request_raw(endpoint(f"ws://relay.onion:{port}", proxy=settings), {"limit": 5})
    assert answer.is_whole
    await asyncio.to_thread(proxy.thread.join)
    assert proxy.names == ["relay.onion"]
    dead = ProxySettings("socks5h://127.0.0.1:9", "all")
    before = hostile.connections
    with pytest.raises(Unavailable):
        await request_raw(endpoint(hostile.url, proxy=dead), {"limit": 5})
    assert hostile.connections == before
