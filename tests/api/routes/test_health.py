"""Health names what is wrong, and says by its status whether to come back later."""

import asyncio
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema
from raised.errors import RecordUnavailable

NOW = 1_750_000_000


async def test_alive_is_alive(api: Any) -> None:
    answer = await api.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_all_well_is_ready(book: Any, api: Any, path: str) -> None:
    await book.whole()
    answer = await api.get(path)
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] == "ready"
    assert body["problems"] == []
    assert body["daemon"] == {"alive": True, "seen_at": "2025-06-15T15:06:40Z"}
    assert body["chain"]["height"] == 100


async def test_a_source_in_trouble_is_named(book: Any, api: Any) -> None:
    await book.whole()
    await book.source(
        schema.relay,
        "wss://bad.example",
        "down",
        last_error_code="forged",
        last_error_detail="it sent events with wrong ids",
    )
    answer = await api.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["problems"] == [
        {
            "source": "wss://bad.example",
            "code": "forged",
            "subject": None,
            "detail": "it sent events with wrong ids",
            "since_at": "2025-06-15T15:06:40Z",
            "last_at": None,
            "tries": None,
            "severity": "down",
        }
    ]


async def test_before_any_daemon_it_is_down(api: Any) -> None:
    answer = await api.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "down"
    assert answer.json()["problems"][0]["code"] == "never_seen"


async def test_a_daemon_that_went_away_is_down(book: Any, api: Any) -> None:
    await book.whole()
    await book.daemon(NOW - 61)
    answer = await api.get("/health")
    assert answer.status_code == 503
    assert answer.json()["problems"][0]["code"] == "not_seen"


async def test_until_a_relay_was_read_and_the_index_is_done_it_starts(book: Any, api: Any) -> None:
    async def status() -> tuple[int, str]:
        answer = await api.get("/health")
        return answer.status_code, answer.json()["status"]

    await book.daemon()
    assert await status() == (503, "starting")
    await book.block(1)
    await book.source(schema.relay, "wss://relay.example")
    assert await status() == (503, "starting")
    await book.add(schema.cursor, source="relay", name="wss://relay.example", value=NOW)
    await book.daemon(index=(1, 3))
    assert await status() == (503, "starting")
    body = (await api.get("/health")).json()["progress"]
    assert body == [{"what": "index", "done": 1, "total": 3}]
    await book.daemon(index=(3, 3), backfill=(1, 2))
    assert await status() == (200, "ready")


async def test_without_the_database_it_is_down_and_comes_back(book: Any, api: Any) -> None:
    await book.whole()
    async with book.engine.begin() as conn:
        await conn.exec_driver_sql("ALTER TABLE change RENAME TO hidden_change")
    answer = await api.get("/health")
    assert answer.status_code == 503
    assert answer.json()["database"] == "down"
    assert answer.json()["problems"][0]["source"] == "database"
    answer = await api.get("/api/v1/summary?")
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/unavailable"
    assert answer.headers["retry-after"] == "5"
    async with book.engine.begin() as conn:
        await conn.exec_driver_sql("ALTER TABLE hidden_change RENAME TO change")
    assert (await api.get("/health")).status_code == 200


async def test_a_locked_record_is_said_at_once_and_forgotten_afterwards(
    book: Any, api: Any
) -> None:
    """What a delivery needs is a write: reading goes on beside a lock."""
    await book.whole()
    async with book.engine.connect() as conn, conn.begin() as locked:
        lock = "SELECT 1" if conn.dialect.name == "sqlite" else "LOCK TABLE meta IN EXCLUSIVE MODE"
        await conn.exec_driver_sql(lock)
        answer = await api.get("/health")
        assert (await api.get("/api/v1/summary")).status_code == 200
        await locked.rollback()
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["database"]) == ("down", "down")
    (problem,) = answer.json()["problems"]
    assert (problem["source"], problem["code"]) == ("database", "not_writable")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await api.get("/health")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_full_disk_is_said_at_once(
    book: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise RecordUnavailable("database or disk is full")

    for name in ("_FileAdder", "_ServerAdder"):
        monkeypatch.setattr(f"raised.db.requests.inbox.{name}.probe", full)
    await book.whole()
    async with serve() as api:
        answer = await api.get("/health")
        assert (answer.status_code, answer.json()["database"]) == (503, "down")
        assert (await api.get("/health/live")).status_code == 200
