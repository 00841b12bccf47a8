"""How fast do live events get into the record, against nostr-sdk alone?

A server in a process of its own sends the same signed events as fast as they are taken, on a
subscription that is open. Ours is the whole source: admit policy, our own check, and the writer on
SQLite with durable commits. The reference is the same lossless path of the library, drained in
Python with nothing done: its admit policy puts each event into a queue, and a task takes it out.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import nostr_sdk as sdk
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from raised.db.engine import open_reader, open_writer
from raised.db.upgrade import upgrade
from raised.domain.angor.network import network_named
from raised.domain.event import Event
from raised.domain.observation import BackfillDone, EventsSeen, Observation
from raised.nostr.sdk_client import decode_event, use_running_loop
from raised.nostr.settings import RelaySettings
from raised.nostr.source import RelaySource
from raised.record import Policy, write_observations
from raised.service.record_view import RecordView
from raised_simnet.actors.nostr_event import compact, sign_event

EVENTS = 10_000
ROUNDS = 5
SENDERS = 50
CONTENT = "what a founder has to say about the project, " * 10


def signed_frames() -> list[str]:
    """The events as JSON."""
    return [
        compact(
            sign_event(
                bytes(31) + bytes([1 + n % SENDERS]),
                kind=3030,
                content=f"{CONTENT}{n}",
                created_at=1_700_000_000 + n,
                tags=[["d", f"angor1q{n}"]],
            )
        )
        for n in range(EVENTS)
    ]


async def serve_events() -> None:
    """The server: prints its port; each line names a subscription that gets everything."""
    frames = signed_frames()
    live: dict[str, ServerConnection] = {}

    async def converse(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in socket:
                verb, name, *_ = json.loads(text)
                if verb == "REQ":
                    await socket.send(compact(["EOSE", name]))
                    if name.startswith("live-"):
                        live[name] = socket
                elif verb != "CLOSE":
                    await socket.send(compact(["NOTICE", f"bad msg: unknown cmd {verb}"]))

    async with serve(converse, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
            await send_all(live, name, frames)


async def send_all(live: dict[str, ServerConnection], name: str, frames: list[str]) -> None:
    """Send on the newest subscription of this name, as soon as there is one."""
    while name not in live:  # noqa: ASYNC110 - a moment
        await asyncio.sleep(0.01)
    socket = live.pop(name)
    for frame in frames:
        await socket.send(f'["EVENT","{name}",{frame}]')


class Server:
    """The server's process."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, __file__, "serve"]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout is not None
        self.url = f"ws://127.0.0.1:{int(self._process.stdout.readline())}"

    def go(self, name: str) -> None:
        """Have it send, on the newest subscription of this name."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Bare(sdk.AdmitPolicy):
    """The lossless path and nothing else: each event, decoded, in a bounded queue."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, str, Event]] = asyncio.Queue(2_000)

    async def admit_connection(self, relay_url: sdk.RelayUrl) -> sdk.AdmitStatus:  # noqa: ARG002
        return sdk.AdmitStatus.success()

    async def admit_event(
        self, relay_url: sdk.RelayUrl, subscription_id: str, event: sdk.Event
    ) -> sdk.AdmitStatus:
        await self.queue.put((str(relay_url), subscription_id, decode_event(event.as_json())))
        return sdk.AdmitStatus.rejected()


async def reference(server: Server, name: str) -> float:
    """Seconds until the library has handed over every event."""
    policy, url = Bare(), sdk.RelayUrl.parse(server.url)
    client = sdk.ClientBuilder().admit_policy(policy).build()
    await client.add_relay(url)
    await client.connect(and_wait=timedelta(seconds=5))
    wanted = sdk.Filter().kinds([sdk.Kind(3030)])
    await client.subscribe(sdk.ReqTarget.single(url, [wanted]), id=name)
    server.go(name)
    began = time.perf_counter()
    for _ in range(EVENTS):
        await policy.queue.get()
    took = time.perf_counter() - began
    await client.shutdown()
    await asyncio.sleep(0.1)
    return took


class Committed:
    """How many events are in the record."""

    def __init__(self) -> None:
        self.caught_up = asyncio.Event()
        self.whole = asyncio.Event()
        self._events = 0

    def note(self, batch: Sequence[Observation]) -> None:
        """The writer has committed these."""
        for observation in batch:
            if isinstance(observation, BackfillDone):
                self.caught_up.set()
            elif isinstance(observation, EventsSeen):
                self._events += len(observation.events)
        if self._events == EVENTS:
            self.whole.set()


async def ours(server: Server, folder: Path) -> float:
    """Seconds until every event is in the record, which is empty before."""
    url = f"sqlite+aiosqlite:///{folder}/raised.db"
    engine, reader = open_writer(url), open_reader(url)
    await upgrade(engine, "regtest")
    source = RelaySource([RelaySettings(server.url)], RecordView(reader, finality=100))
    outbox: asyncio.Queue[Observation] = asyncio.Queue(256)
    policy = Policy(network_named("regtest"), confirmations=1, finality=100)
    committed = Committed()

    def note(batch: Sequence[Observation], _seconds: float) -> None:
        committed.note(batch)
        source.wake()

    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(write_observations(outbox, engine, policy, note))
        follower = tasks.create_task(source.follow(outbox))
        await committed.caught_up.wait()
        server.go("live-0")
        began = time.perf_counter()
        await committed.whole.wait()
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
    server = Server()
    rounds: list[tuple[float, float]] = []
    for turn in range(ROUNDS):
        bare = await reference(server, f"live-bare-{turn}")
        with tempfile.TemporaryDirectory() as made:
            rounds.append((bare, await ours(server, Path(made))))
    server.stop()
    ratio = statistics.median(bare / own for bare, own in rounds)
    line = {
        "name": "relay ingest, live path, verified and committed",
        "value": round(EVENTS / statistics.median(own for _, own in rounds)),
        "unit": "events/s",
        "ratio": round(ratio, 3),
        "reference": round(EVENTS / statistics.median(bare for bare, _ in rounds)),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    asyncio.run(serve_events() if sys.argv[1:] == ["serve"] else measure())
