"""Stores whose webhook secret is missing: their servers send again, and operators are told."""

from pathlib import Path
from typing import Any

from sqlalchemy import text
from tests.api.webhooks.deliveries import (
    SECRET,
    SHOP,
    STORE_ID,
    body_of,
    deliver,
    follow_stores,
    refused,
)

from raised.config.stores import WEBHOOK_SECRET, SecretFile
from raised.db import schema

NOW = 1_750_000_000


async def read_store(book: Any, label: str) -> None:
    """A store that was read to its end once."""
    await book.source(schema.store, label)
    await book.add(schema.cursor, source="store:read", name=label, value=NOW)


async def test_a_store_without_secret_is_asked_to_send_again_and_named(
    book: Any, serve: Any
) -> None:
    """BTCPay Server gives up after a 404, and what was not stored is then lost."""
    await book.whole()
    for label in ("shop", "stall"):
        await read_store(book, label)
    await follow_stores(book, shop=STORE_ID, stall="other")
    async with serve(webhook_secrets={"stall": (SECRET,)}) as api:
        assert (await api.json("/health"))["problems"] == []
        answer = await deliver(api, body_of())
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert await refused(book, 1) == {("shop", "no_secret"): 1}
        (problem,) = (await api.json("/health"))["problems"]
        assert (await api.json("/api/v1/problems"))["items"] == [problem]
    assert (problem["source"], problem["code"]) == ("shop", "no_webhook_secret")
    assert problem["severity"] == "warning"
    assert "raised btcpay setup shop" in problem["detail"]
    async with serve(webhook_secrets={"shop": (SECRET,), "stall": (SECRET,)}) as api:
        assert (await api.json("/health"))["problems"] == []
        assert (await deliver(api, body_of())).status_code == 200


async def test_a_stranger_makes_no_problem_of_a_store_without_webhook(
    book: Any, serve: Any
) -> None:
    await book.whole()
    await read_store(book, "shop")
    await follow_stores(book, shop=STORE_ID)
    async with serve() as api:
        for path in (SHOP, "/webhook"):
            answer = await api.client.post(path, content=b"{}")
            assert answer.status_code == 503
        assert (await api.get(SHOP)).status_code == 405
        assert (await api.json("/health"))["problems"] == []


async def test_a_secret_file_that_is_not_there_is_a_problem_before_any_delivery(
    book: Any, serve: Any, tmp_path: Path
) -> None:
    """Also before the daemon has said which stores it follows."""
    file = SecretFile(tmp_path / "secret", "RAISED_BTCPAY_SHOP_WEBHOOK_SECRET_FILE")
    async with serve(secret_files={("shop", WEBHOOK_SECRET): file}) as api:
        for path in (SHOP, "/webhook"):
            assert (await deliver(api, body_of(), path)).status_code == 503
        assert (await deliver(api, body_of(), "/webhooks/btcpay/other")).status_code == 404
        await book.whole()
        await read_store(book, "shop")
        (problem,) = (await api.json("/health"))["problems"]
    assert (problem["code"], problem["severity"]) == ("no_webhook_secret", "degraded")
    assert f"{file.variable} names {file.path}" in problem["detail"]


async def test_an_unknown_address_is_sent_again_while_the_record_is_away(
    book: Any, serve: Any
) -> None:
    async with serve() as api:
        async with book.engine.begin() as conn:
            await conn.execute(text("ALTER TABLE daemon RENAME TO elsewhere"))
        assert (await deliver(api, body_of())).status_code == 503
    async with book.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE elsewhere RENAME TO daemon"))
