"""Pages of other origins: every answer can be read, a preflight costs nothing."""

from typing import Any

import pytest

PAGE = "https://page.example"
ORIGIN = {"origin": PAGE}
SUMMARY = "/api/v1/summary"
STREAM = "/api/v1/changes/stream"
PREFLIGHT = {**ORIGIN, "access-control-request-method": "GET"}


def assert_readable(answer: Any) -> None:
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "retry-after" in answer.headers["access-control-expose-headers"]
    assert "origin" in answer.headers["vary"].lower()


async def test_every_refusal_can_be_read(book: Any, serve: Any) -> None:
    async with serve(cors_origins=(PAGE,), rate_limit=7, api_public=False) as api:
        bad_key = {**ORIGIN, "authorization": "Bearer rk_x"}
        for headers in (ORIGIN, bad_key):
            answer = await api.get(SUMMARY, headers=headers)
            assert answer.status_code == 401
            assert_readable(answer)
        answer = await api.client.post(SUMMARY, headers=ORIGIN)
        assert answer.status_code == 401
        assert_readable(answer)
        for path, status in (("/nothing", 404), ("/health", 503), ("/health/live", 200)):
            answer = await api.get(path, headers=ORIGIN)
            assert answer.status_code == status
            assert_readable(answer)
        while (answer := await api.get(SUMMARY, headers=ORIGIN)).status_code != 429:
            assert_readable(answer)
        assert_readable(answer)
        assert int(answer.headers["retry-after"]) > 0


async def test_answers_depend_on_the_origin_and_the_key(serve: Any) -> None:
    async with serve(cors_origins=(PAGE,)) as api:
        for headers in (ORIGIN, {}, {"origin": "https://other.example"}):
            for _ in range(2):
                answer = await api.get(SUMMARY, headers=headers)
                varies = {name.strip() for name in answer.headers["vary"].lower().split(",")}
                assert varies == {"authorization", "origin"}
                is_allowed = "access-control-allow-origin" in answer.headers
                assert is_allowed is (headers is ORIGIN)
        tag = {**ORIGIN, "if-none-match": "*"}
        answer = await api.get(SUMMARY, headers=tag)
        assert answer.status_code == 304
        assert_readable(answer)


async def test_the_stream_can_be_read(serve: Any) -> None:
    async with (
        serve(cors_origins=(PAGE,)) as api,
        api.client.stream("GET", STREAM, headers=ORIGIN) as answer,
    ):
        assert answer.status_code == 200
        assert_readable(answer)


async def test_preflights_are_answered_without_key_and_quota(serve: Any) -> None:
    async with serve(cors_origins=(PAGE,), rate_limit=1, api_public=False) as api:
        for path in (SUMMARY, STREAM, "/api/v1/nothing"):
            answer = await api.client.options(path, headers=PREFLIGHT)
            assert answer.status_code == 204
            assert_readable(answer)
            assert "authorization" in answer.headers["access-control-allow-headers"]
            assert "GET" in answer.headers["access-control-allow-methods"]
            assert "ratelimit-limit" not in answer.headers
        other = {**PREFLIGHT, "origin": "https://other.example"}
        answer = await api.client.options(SUMMARY, headers=other)
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers
        # What only looks like one counts as any request does.
        for headers in (ORIGIN, {"access-control-request-method": "GET"}):
            answer = await api.client.options(SUMMARY, headers=headers)
            assert answer.headers["ratelimit-limit"] == "1"
        assert answer.status_code == 429


@pytest.mark.parametrize("allowed", ["*", "https://*.example"])
async def test_origins_may_have_a_wildcard(serve: Any, allowed: str) -> None:
    async with serve(cors_origins=(allowed,)) as api:
        answer = await api.get(SUMMARY, headers=ORIGIN)
        expected = "*" if allowed == "*" else PAGE
        assert answer.headers["access-control-allow-origin"] == expected


async def test_webhooks_are_for_no_page(serve: Any) -> None:
    async with serve(cors_origins=(PAGE,), webhook_secrets={"shop": (b"x",)}) as api:
        answer = await api.client.options("/webhooks/btcpay/shop", headers=PREFLIGHT)
        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers
