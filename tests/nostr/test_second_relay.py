"""The source on a relay that shares no code with nostr-sdk: nostr-relay 1.14.

It takes `until` as exclusive, does not answer NIP-77, and keeps older replaceable events.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from raised_simnet.actors.nostr_event import sign_event, xonly
from raised_simnet.relays.relays import publish

FOUNDER = bytes(31) + b"\x05"

CONFIG = """
relay_name: second opinion
storage:
  sqlalchemy.url: sqlite+aiosqlite:///{folder}/relay.sqlite3
  validators: [nostr_relay.validators.is_signed]
verification: {{nip05_verification: disabled}}
gunicorn: {{bind: "127.0.0.1:{port}", loglevel: warning}}
authentication: {{enabled: false}}
subscription_limit: 32
max_limit: 6000
"""


class SecondRelay:
    """The relay in a process of its own; it keeps its port and its events."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "config.yaml").write_text(CONFIG.format(folder=folder, port=port))

    def start(self) -> None:
        main = "from nostr_relay.cli import main; main()"
        options = ["-c", str(self._folder / "config.yaml"), "serve", "--use-uvicorn"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", main, *options], stdout=log, stderr=log
            )
        until = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < until:
            try:
                with connect(self.url):
                    return
            except (OSError, WebSocketException):
                time.sleep(0.05)
        self.kill()
        raise AssertionError((self._folder / "log").read_text())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None


@pytest.fixture
def second(tmp_path: Path) -> Iterator[SecondRelay]:
    relay = SecondRelay(tmp_path)
    relay.start()
    yield relay
    relay.kill()


def projects(count: int, at: int) -> list[Any]:
    return [
        sign_event(FOUNDER, kind=3030, content=f"{{{at}.{n}", created_at=at + n // 3)
        for n in range(count)
    ]


def ids(events: list[Any]) -> set[str]:
    return {event["id"] for event in events}


async def test_pages_reach_the_end_where_until_is_exclusive(follow: Any, second: Any) -> None:
    stored = projects(700, int(time.time()) - 5_000)
    await asyncio.to_thread(publish, second.url, stored)
    async with follow(second.url) as following:
        record = following.record
        await following.until(lambda: record.done)
        assert record.events.keys() == ids(stored)
        live = projects(3, int(time.time()))
        await asyncio.to_thread(publish, second.url, live)
        await following.until(lambda: record.events.keys() == ids(stored + live))
        await following.until(lambda: following.state(second.url) == ("ok", None))


async def test_no_event_is_lost_when_the_relay_is_killed_again_and_again(
    follow: Any, second: Any
) -> None:
    sent: list[Any] = []
    async with follow(second.url) as following:
        record = following.record
        for turn in range(3):
            now = int(time.time())
            sent += projects(60, now - 600 * turn)  # back-dated, but within the overlap
            half = len(sent) - 30
            await asyncio.to_thread(publish, second.url, sent[half - 30 : half])
            await following.until(lambda n=half: len(record.events) == n)
            second.kill()
            await following.until(lambda: following.state(second.url)[0] == "down")
            await asyncio.to_thread(second.start)
            await asyncio.to_thread(publish, second.url, sent[half:])
            total = len(sent)
            await following.until(lambda n=total: len(record.events) == n)
    assert record.events.keys() == ids(sent)


async def test_more_keys_than_the_relay_grants_subscriptions_for(
    follow: Any, second: Any, record: Any
) -> None:
    """It refuses by a NOTICE alone. Open subscriptions go on, and stored events are read."""
    record.keys = [f"{n:064x}" for n in range(1, 400)] + [xonly(FOUNDER)]
    profile = sign_event(FOUNDER, kind=0, content="{}", created_at=int(time.time()) - 50)
    await asyncio.to_thread(publish, second.url, [profile])
    async with follow(second.url) as following:
        await following.until(lambda: record.events.keys() == {profile["id"]})
        await following.until(lambda: record.done)
        newer = sign_event(FOUNDER, kind=0, content="{1}", created_at=int(time.time()))
        await asyncio.to_thread(publish, second.url, [newer])
        await following.until(lambda: newer["id"] in record.events)
