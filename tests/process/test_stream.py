"""The live feed over HTTP while the API dies and comes back, and for readers that are slow."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pbk")

from tests.rig.brief_story import brief_story
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.harness import harness
from tests.rig.node import Node

from raised.clock import now
from raised_simnet.story.paced_player import Pace
from raised_simnet.story.steps import Mine, Step
from raised_simnet.story.stories import start_before

SMALL = 4096


class Reader:
    """Comes back after every break with the number of the last change it saw."""

    def __init__(self, box: Node) -> None:
        self.box = box
        self.seen: list[dict[str, Any]] = []
        self.breaks = 0
        self._news = asyncio.Event()

    async def until(self, seq: int) -> None:
        """Return when the change with this number was seen."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not self.seen or self.seen[-1]["seq"] < seq:
                self._news.clear()
                await self._news.wait()

    async def read(self) -> None:
        """Read for ever."""
        while True:
            last = self.seen[-1]["seq"] if self.seen else 0
            try:
                async for message in self.box.stream(last_seen=last):
                    assert message.type != "reset"
                    if message.id is not None:
                        self.seen.append(message.data)
                        self._news.set()
            except (OSError, RuntimeError):
                pass
            self.breaks += 1
            await asyncio.sleep(0.05)


def restarting(box: Node, pace: Pace, *, every: int) -> Pace:
    """The same pace; the API ends and starts again each so many blocks: politely, then not."""
    mined = 0

    async def wait(step: Step) -> None:
        nonlocal mined
        await pace(step)
        mined += isinstance(step, Mine)
        if isinstance(step, Mine) and mined % every == 0:
            await (box.api.kill() if mined % (2 * every) == 0 else box.api.stop())
            await box.api.start()

    return wait


async def test_a_reader_that_resumes_sees_every_change_once_and_in_order(tmp_path: Path) -> None:
    async with harness(tmp_path, brief_story(1, start_before(now()))) as stage:
        box = stage.box
        await box.start()
        reader = Reader(box)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(reader.read())
            await stage.play(restarting(box, stage.followed(), every=3))
            assert (await stage.outcome()).equal
            listed = await box.changes()
            await reader.until(listed[-1]["seq"])
            reading.cancel()
        assert reader.breaks >= 4
        assert reader.seen[: len(listed)] == listed


async def test_a_slow_reader_gets_everything_and_holds_nobody_up(tmp_path: Path) -> None:
    async with harness(tmp_path, brief_story(2, start_before(now()))) as stage:
        box = stage.box
        await box.start()
        reader = Reader(box)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            slow.connect(("127.0.0.1", box.port))
            slow.sendall(b"GET /api/v1/changes/stream?after=0 HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(reader.read())
                await stage.play()
                assert (await stage.outcome()).equal
                reading.cancel()
            listed = await box.changes()
            async with asyncio.timeout(DEADLINE_SECONDS):
                got = await asyncio.to_thread(read_slowly, slow, listed[-1]["seq"])
        assert got[: len(listed)] == [change["seq"] for change in listed]
        assert [change["seq"] for change in reader.seen] == got[: len(reader.seen)]


def read_slowly(slow: socket.socket, last: int) -> list[int]:
    """The numbers of all changes up to this one, in small sips."""
    slow.settimeout(DEADLINE_SECONDS)
    text, ending = b"", b'\ndata: {"seq":%d,' % last
    while ending not in text:
        sip = slow.recv(SMALL)
        assert sip, "the server let go of a reader that was merely slow"
        text += sip
    lines = _unchunked(text).splitlines()
    return [json.loads(line[3:]) for line in lines if line.startswith("id:")]


def _unchunked(text: bytes) -> str:
    """The body of a chunked answer, as far as it came."""
    _, _, rest = text.partition(b"\r\n\r\n")
    body = b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body.decode()
