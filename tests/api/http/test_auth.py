"""Keys: what each scope opens, and how soon a revoked one opens nothing."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.deadline import DEADLINE_SECONDS

from raised.config.load import Bind, Environment
from raised.db.engine import open_reader, reading, transact
from raised.db.requests.api_keys import NewKey, add_key, list_keys, new_key, revoke_key
from raised_api.http.auth import ApiKeyCache, is_public
from raised_api.http.key_uses import KeyUses
from raised_api.http.problems import Problem

NOW = 1_750_000_000
SUMMARY = "/api/v1/summary"
INVOICES = "/api/v1/invoices"
REFRESH = "/api/v1/refresh"
ELSEWHERE = {"x-forwarded-for": "203.0.113.7"}


async def make_key(book: Any, *scopes: str) -> NewKey:
    key = new_key(scopes)
    await transact(book.engine, add_key, key, scopes, NOW)
    return key


def bearer(key: NewKey) -> dict[str, str]:
    return {"authorization": f"Bearer {key.token}"}


async def test_a_key_opens_what_its_scopes_say_and_no_more(book: Any, serve: Any) -> None:
    asked = {
        "read": ("GET", SUMMARY),
        "invoices:read": ("GET", INVOICES),
        "metrics": ("GET", "/metrics"),
        "admin": ("POST", REFRESH),
    }
    keys = {scope: await make_key(book, scope) for scope in asked}
    async with serve(api_public=False) as api:
        for given, key in keys.items():
            for wanted, (method, path) in asked.items():
                headers = bearer(key) | ELSEWHERE
                answer = await api.client.request(method, path, headers=headers)
                if given in (wanted, "admin"):  # admin includes every other scope
                    assert answer.is_success, (given, wanted)
                else:
                    assert answer.status_code == 403, (given, wanted)
                    assert wanted in answer.json()["detail"]


async def test_the_last_use_of_a_key_is_kept(book: Any, serve: Any, reader: AsyncEngine) -> None:
    used, unused = await make_key(book, "read"), await make_key(book, "read")
    now = NOW
    async with serve(clock=lambda: now) as api:
        for now in (NOW + 5, NOW + 7):  # noqa: B007 - the clock reads it
            assert (await api.get(SUMMARY, headers=bearer(used))).is_success
        now = NOW + 60
        assert (await api.get(SUMMARY)).is_success
    async with reading(reader) as conn:
        last = {key.id: key.last_used_at for key in await list_keys(conn)}
    assert last == {used.id: NOW + 7, unused.id: None}


async def test_uses_that_cannot_be_stored_are_kept_for_later(
    writer: AsyncEngine, reader: AsyncEngine
) -> None:
    key = new_key(["read"])
    await transact(writer, add_key, key, ["read"], NOW)
    away = open_reader("postgresql://somebody@127.0.0.1:1/raised")
    uses = KeyUses(away, lambda: NOW)
    uses.note(key.id)
    await uses.store()
    uses._writer = writer
    await uses.store()
    await away.dispose()
    async with reading(reader) as conn:
        assert [key.last_used_at for key in await list_keys(conn)] == [NOW]


async def test_without_a_key_only_what_is_public_is_open(book: Any, api: Any) -> None:
    assert (await api.get(SUMMARY)).status_code == 200
    for path in (INVOICES, f"{INVOICES}/shop/a", "/api/v1/deliveries"):
        answer = await api.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "invoices:read" in answer.json()["detail"]
    answer = await api.client.post(REFRESH)
    assert answer.status_code == 401
    assert "admin" in answer.json()["detail"]


async def test_what_is_no_key_is_unknown(book: Any, api: Any) -> None:
    key = await make_key(book, "read")
    for text in ("x", "x y", key.token[:-1], key.token.upper(), new_key(["read"]).token, "é"):
        sent = [(b"authorization", f"Bearer {text}".encode())]
        answer = await api.get(SUMMARY, headers=sent)
        assert answer.status_code == 401, text
        assert answer.json()["type"] == "/problems/unauthorized"
    twice = [("authorization", f"Bearer {key.token}")] * 2
    assert (await api.get(SUMMARY, headers=twice)).status_code == 401
    # A proxy before us may have its own.
    assert (await api.get(SUMMARY, headers={"authorization": "Basic eDp5"})).status_code == 200
    assert (await api.get(SUMMARY, headers=bearer(key))).status_code == 200


async def test_a_key_has_a_limit_of_its_own(book: Any, serve: Any) -> None:
    first, second = await make_key(book, "read"), await make_key(book, "read")
    async with serve(rate_limit=2) as api:
        for headers in (bearer(first), bearer(second), {}):
            codes = [(await api.get(SUMMARY, headers=headers)).status_code for _ in range(3)]
            assert codes == [200, 200, 429]


async def test_guesses_use_up_what_an_address_may_ask(serve: Any) -> None:
    async with serve(rate_limit=3) as api:
        guess = {"authorization": "Bearer rk_0_0"}
        codes = [(await api.get(SUMMARY, headers=guess)).status_code for _ in range(4)]
        assert codes == [401, 401, 401, 429]
        assert (await api.get(SUMMARY)).status_code == 429


async def test_an_answer_for_those_who_see_invoices_is_none_for_others(
    book: Any, serve: Any
) -> None:
    """Ready bytes and their names are kept apart."""
    await book.invoice("shop", counted=5000)
    key = await make_key(book, "invoices:read")
    async with serve() as api:
        path = "/api/v1/movements"
        for _ in range(2):
            seen = await api.get(path, headers=bearer(key))
            shown = await api.get(path)
            assert seen.json()["items"][0]["reference"] is not None
            assert shown.json()["items"][0]["reference"] is None
            assert seen.headers["etag"] != shown.headers["etag"]
        tag = {"if-none-match": shown.headers["etag"]}
        assert (await api.get(path, headers=tag)).status_code == 304
        assert (await api.get(path, headers=tag | bearer(key))).status_code == 200
        # Also where nobody's rows are in it, so that no name tells who has asked.
        tags = {(await api.get(SUMMARY, headers=h)).headers["etag"] for h in ({}, bearer(key))}
        assert len(tags) == 2
        assert "authorization" in seen.headers["vary"].lower()


class Ticks:
    """A clock that stands still between what the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_revoked_key_opens_nothing_three_seconds_later(
    writer: AsyncEngine, reader: AsyncEngine
) -> None:
    key, ticks = new_key(["read"]), Ticks()
    await transact(writer, add_key, key, ["read"], NOW)
    keys = ApiKeyCache(reader, is_public=False, ticks=ticks)
    assert (await keys.authenticate_token(key.token)).key_id == key.id
    await transact(writer, revoke_key, key.id, NOW)
    ticks.now += 2.9
    assert (await keys.authenticate_token(key.token)).scopes == {"read"}
    ticks.now += 0.2
    with pytest.raises(Problem, match="revoked"):
        await keys.authenticate_token(key.token)


async def test_a_new_key_opens_at_once(writer: AsyncEngine, reader: AsyncEngine) -> None:
    ticks = Ticks()
    keys = ApiKeyCache(reader, is_public=False, ticks=ticks)
    with pytest.raises(Problem):
        await keys.authenticate_token(new_key(["read"]).token)
    key = new_key(["read"])
    await transact(writer, add_key, key, ["read"], NOW)
    ticks.now += 1.1
    assert (await keys.authenticate_token(key.token)).key_id == key.id


async def test_a_stream_ends_when_its_key_is_revoked(book: Any, serve: Any) -> None:
    key = await make_key(book, "read", "invoices:read")
    async with serve(ping_seconds=0.1) as api:
        path = "/api/v1/changes/stream"
        async with api.client.stream("GET", path, headers=bearer(key)) as answer:
            assert answer.status_code == 200
            await transact(book.engine, revoke_key, key.id, NOW)
            async with asyncio.timeout(DEADLINE_SECONDS):
                async for _ in answer.aiter_bytes():
                    pass


async def test_repeated_refreshes_within_ten_seconds_are_one(book: Any, serve: Any) -> None:
    now = NOW
    key = await make_key(book, "admin")
    async with serve(clock=lambda: now) as api:

        async def refresh() -> Any:
            answer = await api.client.post(REFRESH, headers=bearer(key))
            assert answer.status_code == 202
            return answer.json()

        assert await refresh() == {"requested_at": "2025-06-15T15:06:40Z"}
        now += 9
        assert await refresh() == {"requested_at": "2025-06-15T15:06:40Z"}
        now += 1
        assert await refresh() == {"requested_at": "2025-06-15T15:06:50Z"}
        answer = await api.client.post(f"{REFRESH}?x=1", headers=bearer(key))
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("host", "public", "opens"),
    [
        ("127.0.0.1", None, True),
        ("localhost", None, True),
        ("0.0.0.0", None, False),
        ("0.0.0.0", True, True),
        ("127.0.0.1", False, False),
    ],
)
def test_a_record_is_open_on_this_machine_alone_unless_told(
    environment: Environment, host: str, public: bool | None, opens: bool
) -> None:
    changed = replace(environment, api_bind=Bind(host, 1), api_public=public)
    assert is_public(changed) is opens
