"""How fast does what a relay holds get into the record, against the library and a bare socket?

A LocalRelay in a process of its own shows 500 events a page. Ours is the whole source, from
connecting to the commit of the last event in SQLite. The reference reads the same pages with
`fetch_events`, decodes and verifies them, and stores nothing; `bare_socket` does so with
`websockets` instead of nostr-sdk.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import nostr_sdk as sdk
from websockets.asyncio.client import connect

from raised.db.engine import open_reader, open_writer
from raised.db.upgrade import upgrade
from raised.domain.angor.network import network_named
from raised.domain.event import Event, is_authentic
from raised.domain.observation import EventsSeen, Observation
from raised.nostr.sdk_client import decode_event, use_running_loop
from raised.nostr.settings import RelaySettings
from raised.nostr.source import RelaySource
from raised.record import Policy, write_observations
from raised.service.record_view import RecordView
from raised_simnet.actors.nostr_event import compact, sign_event
from raised_simnet.relays.relays import Relay, publish

EVENTS = 10_000
PAGE = 500
ROUNDS = 5
CONTENT = "what a founder has to say about the project, " * 10


def fill(url: str) -> None:
    """Publish the events, one a second in their own time."""
    events = [
        sign_event(
            bytes(31) + bytes([1 + n % 50]),
            kind=3030,
            content=f"{CONTENT}{n}",
            created_at=1_700_000_000 + n,
            tags=[["d", f"angor1q{n}"]],
        )
        for n in range(EVENTS)
    ]
    assert publish(url, events) == {}


def asked(until: int) -> dict[str, object]:
    """The filter of a page."""
    return {"kinds": [3030], "until": until, "limit": PAGE}


async def library(url: str) -> float:
    """Seconds for fetch_events, decoding and verifying, page after page."""
    began = time.perf_counter()
    client, relay = sdk.ClientBuilder().build(), sdk.RelayUrl.parse(url)
    await client.add_relay(relay)
    await client.connect(and_wait=timedelta(seconds=5))
    seen: set[str] = set()
    until = 2_000_000_000
    while len(seen) < EVENTS:
        wanted = sdk.Filter.from_json(json.dumps(asked(until)))
        page = await client.fetch_events(
            sdk.ReqTarget.single(relay, [wanted]), timeout=timedelta(seconds=30)
        )
        events = [decode_event(event.as_json()) for event in page]
        assert all(map(is_authentic, events))
        seen.update(event.id for event in events)
        until = min(event.created_at for event in events) + 1
    took = time.perf_counter() - began
    await client.shutdown()
    await asyncio.sleep(0.1)
    return took


async def bare_socket(url: str) -> float:
    """Seconds for the same over a bare socket."""
    began = time.perf_counter()
    seen: set[str] = set()
    until = 2_000_000_000
    async with connect(url, compression=None) as socket:
        while len(seen) < EVENTS:
            await socket.send(compact(["REQ", "page", asked(until)]))
            events: list[Event] = []
            while (message := json.loads(await socket.recv()))[0] == "EVENT":
                events.append(msgspec.convert(message[2], Event))
            assert all(map(is_authentic, events))
            seen.update(event.id for event in events)
            until = min(event.created_at for event in events) + 1
    return time.perf_counter() - began


async def ours(url: str, folder: Path) -> float:
    """Seconds until the source has connected and every event is in the record."""
    database = f"sqlite+aiosqlite:///{folder}/raised.db"
    engine, reader = open_writer(database), open_reader(database)
    await upgrade(engine, "regtest")
    source = RelaySource([RelaySettings(url)], RecordView(reader, finality=100))
    outbox: asyncio.Queue[Observation] = asyncio.Queue(256)
    policy = Policy(network_named("regtest"), confirmations=1, finality=100)
    whole = asyncio.Event()
    events = 0

    def note(batch: Sequence[Observation], _seconds: float) -> None:
        nonlocal events
        events += sum(len(seen.events) for seen in batch if isinstance(seen, EventsSeen))
        if events >= EVENTS:
            whole.set()
        source.wake()

    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(write_observations(outbox, engine, policy, note))
        began = time.perf_counter()
        follower = tasks.create_task(source.follow(outbox))
        await whole.wait()
        took = time.perf_counter() - began
        follower.cancel()
        await asyncio.wait([follower])
        writer.cancel()
    await engine.dispose()
    await reader.dispose()
    return took


async def measure() -> None:
    """Take turns and print one line."""
    use_running_loop()
    relay = Relay()
    relay.start()
    await asyncio.to_thread(fill, relay.url)
    rounds: list[tuple[float, float, float]] = []
    for _ in range(ROUNDS):
        fetched, bare = await library(relay.url), await bare_socket(relay.url)
        with tempfile.TemporaryDirectory() as made:
            rounds.append((await ours(relay.url, Path(made)), fetched, bare))
    relay.stop()
    own, fetched, bare = (statistics.median(times) for times in zip(*rounds, strict=True))
    line = {
        "name": "relay back-fill, pages verified and committed",
        "value": round(EVENTS / own),
        "unit": "events/s",
        "ratio": round(statistics.median(each[1] / each[0] for each in rounds), 3),
        "reference": round(EVENTS / fetched),
        "bare_socket": round(EVENTS / bare),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    asyncio.run(measure())
