"""Health names what is wrong, and says by its status whether to come back later."""

import asyncio
import json
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema
from raised.errors import RecordUnavailable

NOW = 1_750_000_000
RELAY = "wss://new.example"


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


async def first_sync(api: Any) -> tuple[int, str, dict[str, tuple[int, int]]]:
    """The status of health, and the steps of the first sync that are not done."""
    answer = await api.get("/health")
    body = answer.json()
    left = {
        step["what"]: (step["done"], step["total"])
        for step in body["progress"]
        if step["done"] < step["total"]
    }
    return answer.status_code, body["status"], left


async def test_it_starts_until_everything_that_follows_from_the_sources_is_in(
    book: Any, api: Any
) -> None:
    await book.daemon()
    assert await first_sync(api) == (503, "starting", {"blocks": (0, 1)})
    await book.block(7)
    await book.source(schema.explorer, "http://x", facts=json.dumps({"height": 9}))
    await book.source(schema.relay, RELAY)
    waits = {f"backfill {RELAY}": (0, 1), "blocks": (7, 9)}
    assert await first_sync(api) == (503, "starting", waits)
    await book.daemon(**{f"backfill {RELAY}": (1, 3), "blocks": (7, 7)})
    assert await first_sync(api) == (503, "starting", {f"backfill {RELAY}": (1, 3)})
    await book.project("unread")
    await book.add(schema.cursor, source="relay", name=RELAY, value=NOW)
    await book.daemon(**{f"backfill {RELAY}": (3, 3), "blocks": (7, 7)})
    assert await first_sync(api) == (503, "starting", {"index": (0, 1)})
    summary = await api.json("/api/v1/summary")
    assert summary["as_of"]["complete"] is False


async def test_a_relay_that_is_away_holds_nobody_up_but_is_named(book: Any, api: Any) -> None:
    await book.daemon(blocks=(7, 7))
    await book.block(7)
    await book.source(schema.relay, RELAY, "down", last_error_code="timeout")
    assert (await first_sync(api))[1] == "degraded"
    # What an earlier process could not reach has not been tried yet by this one.
    await book.daemon(started_at=NOW + 1, blocks=(7, 7))
    assert (await first_sync(api))[1] == "starting"


async def test_after_the_first_sync_a_source_that_was_never_read_is_named(
    book: Any, api: Any
) -> None:
    await book.whole()
    await book.source(schema.relay, RELAY)
    answer = await api.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    (problem,) = answer.json()["problems"]
    assert (problem["source"], problem["code"]) == (RELAY, "first_backfill")
    assert (await first_sync(api))[2][f"backfill {RELAY}"] == (0, 1)


async def test_a_gap_is_named_until_every_history_is_read_again(book: Any, api: Any) -> None:
    await book.whole()
    await book.add(schema.meta, key="gap", value=str(NOW))
    answer = await api.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert [problem["code"] for problem in answer.json()["problems"]] == ["gap"]


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
