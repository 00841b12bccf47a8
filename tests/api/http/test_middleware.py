"""Who may ask, how often, and answers that need not be sent again."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from tests.rig.deadline import DEADLINE_SECONDS

NOW = 1_750_000_000
SUMMARY = "/api/v1/summary"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


async def etag_of(api: Any, path: str = SUMMARY) -> str:
    answer = await api.get(path)
    assert answer.status_code == 200
    return str(answer.headers["etag"])


async def test_every_get_has_a_strong_etag_that_answers_304(book: Any, api: Any) -> None:
    await book.project("one")
    for name in ("summary", "series", "projects", "projects/angor1qone", "relays", "changes"):
        path = f"/api/v1/{name}"
        etag = await etag_of(api, path)
        assert etag.startswith('"')
        for sent in (etag, f'"x", {etag}', f"W/{etag}", "*"):
            answer = await api.get(path, headers={"if-none-match": sent})
            assert answer.status_code == 304
            assert answer.content == b""
            assert answer.headers["etag"] == etag
        assert (await api.get(path, headers={"if-none-match": '"x"'})).status_code == 200


async def test_an_answer_is_kept_until_a_change_a_minute_or_staleness(
    book: Any, serve: Any
) -> None:
    clock = Clock()
    await book.whole()
    async with serve(clock=clock) as api:
        before = await api.json(SUMMARY)
        await book.project("one")  # nobody was told
        assert await api.json(SUMMARY) == before
        clock.now += 20
        changed = await api.json(SUMMARY)
        assert changed["as_of"]["at"] == "2025-06-15T15:07:00Z"
        assert changed["projects"]["confirmed"] == 1
        await book.project("two")
        await book.changes(1)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await api.json(SUMMARY))["as_of"]["seq"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await api.json(SUMMARY))["projects"]["confirmed"] == 2
        clock.now += 41
        assert (await api.json(SUMMARY))["as_of"]["stale"] is True


async def test_a_statement_that_fails_is_answered_as_unavailable(book: Any, api: Any) -> None:
    """The transaction fails in the handler, and is closed after it."""
    async with book.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE investment RENAME TO elsewhere"))
    answer = await api.get("/api/v1/investments")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "/problems/unavailable"


async def test_head_is_a_get_without_a_body(api: Any) -> None:
    answer = await api.client.head(SUMMARY)
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["content-length"]) == len((await api.get(SUMMARY)).content)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(api: Any, method: str) -> None:
    for path in (SUMMARY, "/api/v1/changes/stream"):
        answer = await api.client.request(method, path)
        assert answer.status_code == 405
        assert "GET" in answer.headers["allow"]
        assert answer.json()["status"] == 405


async def test_an_address_that_asks_too_often_is_told_when_to_go_on(serve: Any) -> None:
    clock = Clock()
    async with serve(clock=clock, rate_limit=3) as api:
        for remaining in (2, 1, 0):
            answer = await api.get(SUMMARY)
            assert answer.headers["ratelimit-limit"] == "3"
            assert answer.headers["ratelimit-remaining"] == str(remaining)
            assert answer.headers["ratelimit-reset"] == "20"
        answer = await api.get(SUMMARY)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "20"
        assert answer.json()["type"] == "/problems/too-many-requests"
        assert (await api.get("/health/live")).status_code == 200
        other = {"x-forwarded-for": "203.0.113.7"}
        assert (await api.get(SUMMARY, headers=other)).status_code == 200
        clock.now += 20
        assert (await api.get(SUMMARY)).status_code == 200


async def test_the_word_of_a_proxy_counts_only_when_it_is_trusted(serve: Any) -> None:
    async with serve(rate_limit=2, trusted_proxies=("127.0.0.0/8", "10.0.0.0/8")) as api:
        # What the client itself wrote stands left of what our proxies saw.
        for forged in ("1.1.1.1", "2.2.2.2"):
            sent = {"x-forwarded-for": f"{forged}, 203.0.113.7, 10.0.0.1"}
            assert (await api.get(SUMMARY, headers=sent)).status_code == 200
        sent = {"x-forwarded-for": "3.3.3.3, 203.0.113.7"}
        assert (await api.get(SUMMARY, headers=sent)).status_code == 429
    async with serve(rate_limit=2, trusted_proxies=()) as api:
        for number in range(2):
            sent = {"x-forwarded-for": f"203.0.113.{number}"}
            assert (await api.get(SUMMARY, headers=sent)).status_code == 200
        sent = {"x-forwarded-for": "203.0.113.99"}
        assert (await api.get(SUMMARY, headers=sent)).status_code == 429


async def test_a_closed_record_shows_only_health_and_the_page(serve: Any) -> None:
    async with serve(api_public=False) as api:
        for path in (SUMMARY, "/api/v1/changes/stream", "/api/v1/nothing"):
            answer = await api.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["type"] == "/problems/unauthorized"
        for path in ("/", "/health/live", "/api/openapi.json"):
            assert (await api.get(path)).status_code == 200


async def test_figures_are_for_this_machine(book: Any, serve: Any) -> None:
    async with serve() as api:
        await api.get(SUMMARY)
        await api.get(SUMMARY)
        await api.get("/api/v1/nothing")
        text = (await api.get("/metrics")).text
        assert 'raised_api_requests_total{route="/api/v1/summary",status="200"} 2.0' in text
        assert "raised_api_ready_answers_total 1.0" in text
        assert 'status="404"' in text
        answer = await api.get("/metrics", headers={"x-forwarded-for": "203.0.113.7"})
        assert answer.status_code == 403
        assert answer.json()["type"] == "/problems/forbidden"


async def test_pages_of_other_origins_may_read_where_that_is_configured(serve: Any) -> None:
    origin = {"origin": "https://page.example"}
    async with serve(cors_origins=("https://page.example",)) as api:
        for _ in range(2):
            answer = await api.get(SUMMARY, headers=origin)
            assert answer.headers["access-control-allow-origin"] == "https://page.example"
            assert "etag" in answer.headers["access-control-expose-headers"].lower()
        asked = {**origin, "access-control-request-method": "GET"}
        answer = await api.client.options(SUMMARY, headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        answer = await api.get(SUMMARY, headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in answer.headers
    async with serve() as api:
        answer = await api.get(SUMMARY, headers=origin)
        assert "access-control-allow-origin" not in answer.headers
