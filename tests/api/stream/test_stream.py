"""The stream of changes: complete, in order, resumable; nobody holds it up."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.rig.deadline import DEADLINE_SECONDS

STREAM = "/api/v1/changes/stream"


@dataclass(frozen=True)
class Message:
    event: str
    id: int | None
    data: Any


class Listener:
    """Reads one stream message by message."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.comments: list[str] = []
        self.retry: str | None = None

    async def next(self) -> Message:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                message = await self._block()
                if message is not None:
                    return message

    async def _block(self) -> Message | None:
        fields: dict[str, str] = {}
        while line := await anext(self._lines):
            if line.startswith(":"):
                self.comments.append(line)
            else:
                name, _, value = line.partition(": ")
                fields[name] = value
        self.retry = fields.get("retry", self.retry)
        if "data" not in fields:
            return None
        number = int(fields["id"]) if "id" in fields else None
        return Message(fields["event"], number, json.loads(fields["data"]))

    async def ids(self, number: int) -> list[int]:
        ids: list[int] = []
        while len(ids) < number:
            message = await self.next()
            assert message.id == message.data["seq"]
            ids.append(message.data["seq"])
        return ids

    async def ended(self) -> bool:
        """Whether the server ends the stream soon."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                async for _ in self._lines:
                    pass
            except httpx.RemoteProtocolError:
                return False
        return True


@asynccontextmanager
async def listening(api: Any, query: str = "", **headers: str) -> AsyncIterator[Listener]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.client.stream("GET", STREAM + query, headers=sent) as answer:
        assert answer.status_code == 200
        yield Listener(answer)


async def readers_of(api: Any) -> int:
    text = (await api.get("/metrics")).text
    (row,) = [
        splitline
        for splitline in text.splitlines()
        if splitline.startswith("raised_api_stream_readers ")
    ]
    return int(float(row.split()[1]))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - nobody tells us when
            await asyncio.sleep(0.01)


async def test_a_stream_begins_now_with_a_hello_that_has_no_id(book: Any, api: Any) -> None:
    await book.changes(3)
    async with listening(api) as stream:
        hello = await stream.next()
        assert hello == Message("hello", None, {"seq": 3, "oldest": 1})
        assert stream.retry == "3000"
        assert stream.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.answer.headers["cache-control"] == "no-store"
        assert stream.answer.headers["x-accel-buffering"] == "no"
        await book.changes(2)
        assert await stream.ids(2) == [4, 5]


async def test_a_change_is_sent_as_the_list_shows_it(book: Any, api: Any) -> None:
    async with listening(api) as stream:
        await stream.next()
        await book.changes(1, "tip")
        message = await stream.next()
    assert message.event == "tip"
    assert message.data == (await api.json("/api/v1/changes"))["items"][0]


async def test_after_zero_is_everything_kept(book: Any, serve: Any) -> None:
    await book.changes(250)
    await book.forget_changes(before=21)
    # The API starts after it: it must not have seen what was forgotten.
    async with serve() as api, listening(api, "?after=0") as stream:
        assert (await stream.next()).data == {"seq": 250, "oldest": 21}
        assert await stream.ids(230) == list(range(21, 251))


async def test_the_last_event_id_outranks_after(book: Any, api: Any) -> None:
    await book.changes(10)
    async with listening(api, "?after=2", last_event_id="7") as stream:
        await stream.next()
        assert await stream.ids(3) == [8, 9, 10]


async def test_a_replay_goes_over_into_the_live_feed_without_gap_or_repeat(
    book: Any, api: Any
) -> None:
    await book.changes(1500)
    async with listening(api, "?after=100") as stream:
        await stream.next()
        seen = await stream.ids(5)
        for _ in range(5):
            await book.changes(10)
            seen += await stream.ids(200)
        seen += await stream.ids(1550 - 100 - len(seen))
        assert seen == list(range(101, 1551))
        await book.changes(1)
        assert await stream.ids(1) == [1551]


@pytest.mark.parametrize("asked", ["3", "12", str(2**70)[:19]])
async def test_a_number_that_is_not_kept_is_a_reset(book: Any, serve: Any, asked: str) -> None:
    """Forgotten, or ahead of the record as after a restore."""
    await book.changes(10)
    await book.forget_changes(before=6)
    # The API starts after it: it must not have seen what was forgotten.
    async with serve() as api, listening(api, last_event_id=asked) as stream:
        assert (await stream.next()).event == "hello"
        assert await stream.next() == Message("reset", 10, {"seq": 10, "oldest": 6})
        await book.changes(1)
        assert await stream.ids(1) == [11]


@pytest.mark.parametrize("asked", ["5", "10"])
async def test_the_ends_of_what_is_kept_are_no_reset(book: Any, serve: Any, asked: str) -> None:
    await book.changes(10)
    await book.forget_changes(before=6)
    # The API starts after it: it must not have seen what was forgotten.
    async with serve() as api, listening(api, last_event_id=asked) as stream:
        await stream.next()
        await book.changes(1)
        assert await stream.ids(11 - int(asked)) == list(range(int(asked) + 1, 12))


async def test_only_the_asked_types_are_sent(book: Any, api: Any) -> None:
    await book.changes(3, "tip")
    await book.changes(3, "reorg")
    async with listening(api, "?after=0&type=reorg,movement") as stream:
        await stream.next()
        assert await stream.ids(3) == [4, 5, 6]
        await book.changes(1, "tip")
        await book.changes(1, "movement")
        assert await stream.ids(1) == [8]


@pytest.mark.parametrize(
    ("query", "headers", "name"),
    [
        ("?after=-1", {}, "after"),
        ("?type=A", {}, "type"),
        ("?since=1", {}, "since"),
        ("", {"last-event-id": "x"}, "last-event-id"),
    ],
)
async def test_a_bad_question_is_refused(
    api: Any, query: str, headers: dict[str, str], name: str
) -> None:
    answer = await api.get(STREAM + query, headers=headers)
    assert answer.status_code == 400
    assert [fault["name"] for fault in answer.json()["errors"]] == [name]


async def test_silence_is_filled_with_pings(book: Any, serve: Any) -> None:
    async with serve(ping_seconds=0.05) as api, listening(api) as stream:
        await stream.next()
        await book.changes(1)
        await stream.next()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(stream.comments) < 3:
                await stream._block()
        assert stream.comments[0] == ": ping"


async def test_across_a_restart_every_change_is_seen_once_in_order(book: Any, serve: Any) -> None:
    await book.changes(5)
    async with serve() as api, listening(api) as stream:
        await stream.next()
        await book.changes(20)
        seen = await stream.ids(12)
    await book.changes(600)
    async with serve() as api, listening(api, last_event_id=str(seen[-1])) as stream:
        await stream.next()
        await book.changes(30)
        seen += await stream.ids(655 - seen[-1])
    assert seen == list(range(6, 656))


async def test_open_streams_end_by_themselves_when_asked_to_stop(book: Any, serve: Any) -> None:
    # No ping falls into the test: nothing but the stop itself can wake the streams.
    async with (
        serve(ping_seconds=3600.0) as api,
        listening(api) as first,
        listening(api) as second,
    ):
        await first.next()
        await second.next()
        api.stop.set()
        assert await first.ended()
        assert await second.ended()


async def test_a_reader_that_leaves_is_forgotten(book: Any, api: Any) -> None:
    async with listening(api) as stream:
        await stream.next()
        assert await readers_of(api) == 1

    async def is_forgotten() -> bool:
        return await readers_of(api) == 0

    await until(is_forgotten)


async def test_a_live_reader_that_does_not_keep_up_is_disconnected_and_resumes(
    book: Any, api: Any
) -> None:
    """It reads nothing while more is sent than any buffer holds; others are not held up."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", int(api.url.rpartition(":")[2])))
    await loop.sock_sendall(slow, f"GET {STREAM} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = b""
    while b"hello" not in head:
        head += await loop.sock_recv(slow, 4096)

    async with listening(api) as quick:
        await quick.next()
        for number in range(1, 12):
            last = await book.changes(200, size=4000)
            assert (await quick.ids(200))[-1] == last == number * 200

        async def is_disconnected() -> bool:
            return await readers_of(api) == 1

        await until(is_disconnected)
    slow.close()
    async with listening(api, last_event_id="150") as stream:
        await stream.next()
        assert await stream.ids(2050) == list(range(151, 2201))


async def test_a_record_put_back_in_time_makes_readers_come_again(book: Any, api: Any) -> None:
    await book.changes(10)
    async with listening(api, "?after=9") as stream:
        await stream.next()
        assert await stream.ids(1) == [10]
        async with book.engine.begin() as conn:
            from raised.db.schema import change

            await conn.execute(change.delete().where(change.c.seq > 4))
        assert await stream.ended()
    async with listening(api, last_event_id="10") as stream:
        await stream.next()
        assert await stream.next() == Message("reset", 4, {"seq": 4, "oldest": 1})
