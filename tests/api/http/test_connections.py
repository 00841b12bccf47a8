"""Connections that are silent, slow, too many or too large, over real sockets."""

import asyncio
import contextlib
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised_api.http.connection import ConnectionLimits

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
CONNECTION = "raised_api.http.connection"


async def connect(api: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes the connection."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def answer_to(api: Any, head: bytes) -> bytes:
    reader, writer = await connect(api)
    with contextlib.suppress(ConnectionError):
        for start in range(0, len(head), 65_536):
            writer.write(head[start : start + 65_536])
            await writer.drain()
    answer = await rest_of(reader)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "head",
    [
        LIVE + b"X: " + b"x" * 10_000_000 + b"\r\n\r\n",
        LIVE + b"X: " + b"x" * 40_000 + b"\r\n\r\n",
        LIVE + b"X: y\r\n" * 101 + b"\r\n",
        LIVE + b"X: y\r\n" * 100_000,
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/refresh HTTP/1.1\r\nContent-Length: 5\r\nX: "
        + b"x" * 40_000
        + b"\r\n\r\nabcde",
    ],
    ids=["10 MB", "40 kB", "101 lines", "lines without end", "a long address", "with a body"],
)
async def test_a_head_that_is_too_large_is_refused(api: Any, head: bytes) -> None:
    answer = await answer_to(api, head)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_large_heads_within_the_limit_are_answered(api: Any) -> None:
    head = LIVE + b"X: " + b"x" * 30_000 + b"\r\nConnection: close\r\n\r\n"
    assert (await answer_to(api, head)).startswith(b"HTTP/1.1 200 ")
    assert (await api.get("/health/live")).status_code == 200


async def test_a_refused_body_is_not_read_on(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{CONNECTION}._MAX_DISCARDED_BYTES", 1_000_000)
    reader, writer = await connect(api)
    writer.write(b"POST /api/v1/summary HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 405 ")
    sent = 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while sent < 200_000_000:
                writer.write(b"x" * 100_000)
                await writer.drain()
                sent += 100_000
    assert sent < 100_000_000


async def test_a_small_body_that_nobody_reads_keeps_the_connection(api: Any) -> None:
    reader, writer = await connect(api)
    for _ in range(2):
        writer.write(b"POST /api/v1/summary HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        line = await reader.readuntil(b"\r\n\r\n")
        assert line.startswith(b"HTTP/1.1 405 ")
        length = int(line.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"12345")
    writer.close()


@pytest.mark.parametrize("begun", [b"", LIVE, LIVE + b"\r\n" + LIVE])
async def test_who_is_silent_or_slow_is_disconnected(
    api: Any, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(f"{CONNECTION}._HEAD_SECONDS", 0.2)
    reader, writer = await connect(api)
    writer.write(begun)
    answer = await rest_of(reader)
    assert answer.count(b"HTTP/1.1 200") == begun.count(b"\r\n\r\n")
    writer.close()


async def test_a_full_house_makes_room_for_who_asks(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ConnectionLimits, "of_process", classmethod(lambda cls, proxies: cls(20, proxies))
    )
    async with serve() as api:
        idle = [await connect(api) for _ in range(50)]
        for _ in range(5):
            assert (await api.get("/health/live")).status_code == 200
        ended = [reader for reader, _ in idle if reader.at_eof()]
        assert len(ended) >= 30
        for _, writer in idle:
            writer.close()


async def test_an_address_does_not_take_all(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ConnectionLimits, "of_process", classmethod(lambda cls, proxies: cls(80, proxies))
    )
    async with serve(trusted_proxies=()) as api:
        idle = [await connect(api) for _ in range(60)]
        assert (await api.get("/health/live")).status_code == 200
        ended = [reader for reader, _ in idle if reader.at_eof()]
        assert len(ended) >= 40
        for _, writer in idle:
            writer.close()
