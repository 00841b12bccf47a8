"""Deliveries: each signature of the vectors, every event's body, and what is never stored."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text, update
from tests.api.webhooks.deliveries import (
    BODIES,
    MOST_BYTES,
    NOW,
    SECRET,
    SHOP,
    STORE_ID,
    VECTORS,
    body_of,
    deliver,
    follow_stores,
    refused,
    rows,
    sign,
)
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema

SIGNATURES = json.loads((VECTORS / "signatures.json").read_bytes())
SEQUENCES = json.loads((VECTORS / "webhook_sequences.json").read_bytes())


def cases() -> list[Any]:
    """The signatures of each secret together."""
    secrets = dict.fromkeys(case["secret"] for case in SIGNATURES)
    return [
        pytest.param(secret.encode(), [case for case in SIGNATURES if case["secret"] == secret])
        for secret in secrets
    ]


@pytest.mark.parametrize(("secret", "signed"), cases())
async def test_every_signature_of_the_vectors_is_judged_as_they_say(
    book: Any, serve: Any, secret: bytes, signed: list[Any]
) -> None:
    async with serve(webhook_secrets={"shop": (secret,)}) as api:
        for case in signed:
            body = b64decode(case["body_base64"])
            value = case["header_value"].encode()
            answer = await api.client.post(SHOP, content=body, headers=[(b"BTCPay-Sig", value)])
            expected = 401 if not case["valid"] else 200 if body.startswith(b"{") else 400
            assert answer.status_code == expected, case["id"]
            assert answer.content == b"" or answer.json()["status"] == expected
    stored = {row.delivery_id for row in await rows(book)}
    good = [json.loads(b64decode(c["body_base64"]) or b"0") for c in signed if is_event(c)]
    assert stored == {event["deliveryId"] for event in good}


def is_event(case: Any) -> bool:
    return bool(case["valid"]) and b64decode(case["body_base64"]).startswith(b"{")


def test_there_are_all_vectors() -> None:
    assert len(SIGNATURES) == 44
    assert len(BODIES) == 54


async def test_the_body_of_every_event_is_accepted_as_it_was_sent(book: Any, shop: Any) -> None:
    for name, body in BODIES.items():
        assert (await deliver(shop, body)).status_code == 200, name
    events = [json.loads(body) for body in BODIES.values()]
    stored = {row.delivery_id: row for row in await rows(book)}
    assert stored.keys() == {event["deliveryId"] for event in events}
    for event in events:
        row = stored[event["deliveryId"]]
        assert row.store == "shop"
        assert row.webhook_id == event["webhookId"]
        assert row.original_delivery_id == event["originalDeliveryId"]
        assert row.type == event["type"]
        assert row.invoice_id == event.get("invoiceId")
        assert row.pull_payment_id == event.get("pullPaymentId")
        assert row.redelivery is event["isRedelivery"]
        assert row.sent_at == event["timestamp"]
        assert row.received_at == NOW


async def test_nothing_that_names_a_buyer_is_stored(book: Any, shop: Any) -> None:
    for body in BODIES.values():
        await deliver(shop, body)
    stored = repr(await rows(book))
    assert "ada@example.org" in BODIES["InvoiceCreated"].decode()
    for private in ("ada@example.org", "Ada", "order-1996", "buyer", "bc1q"):
        assert private not in stored


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence["name"])
async def test_deliveries_are_kept_in_the_order_they_came_and_once(
    book: Any, shop: Any, sequence: Any
) -> None:
    sent = [name for name in sequence["order_sent"] if name in BODIES]
    assert sent
    for name in sent:
        assert (await deliver(shop, BODIES[name])).status_code == 200
    expected = dict.fromkeys(json.loads(BODIES[name])["deliveryId"] for name in sent)
    assert [row.delivery_id for row in await rows(book)] == list(expected)


async def test_a_duplicate_is_accepted_and_changes_nothing(book: Any, shop: Any) -> None:
    body = BODIES["InvoiceSettled"]
    assert (await deliver(shop, body)).status_code == 200
    async with book.engine.begin() as conn:
        await conn.execute(update(schema.delivery).values(processed_at=NOW, result="done"))
    answers = await asyncio.gather(*(deliver(shop, body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    (row,) = await rows(book)
    assert (row.processed_at, row.result) == (NOW, "done")


async def test_many_at_once_from_one_address_all_pass(book: Any, shop: Any) -> None:
    sent = [body_of(deliveryId=f"d{number}") for number in range(300)]
    answers = await asyncio.gather(*(deliver(shop, body) for body in sent))
    assert {answer.status_code for answer in answers} == {200}
    assert {row.delivery_id for row in await rows(book)} == {f"d{n}" for n in range(300)}


async def test_a_test_event_is_kept_as_a_test_and_not_acted_on(book: Any, shop: Any) -> None:
    assert (await deliver(shop, BODIES["test_event_pre_2.3"])).status_code == 200
    (row,) = await rows(book)
    assert (row.result, row.processed_at) == ("test", NOW)


async def test_what_old_servers_leave_out_is_filled_in(book: Any, shop: Any) -> None:
    first = body_of(deliveryId="a", originalDeliveryId=..., isRedelivery=..., invoiceId=...)
    second = body_of(deliveryId="b", originalDeliveryId=..., orignalDeliveryId="c", metadata=None)
    for body in (first, second):
        assert (await deliver(shop, body)).status_code == 200
    first_row, second_row = await rows(book)
    assert (first_row.original_delivery_id, first_row.redelivery, first_row.invoice_id) == (
        "a",
        False,
        None,
    )
    assert second_row.original_delivery_id == "c"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"deliveryId":"a"}',
        body_of(invoiceId="null\0"),
        body_of(invoiceId=..., webhookId=7),
        body_of(invoiceId={"id": "x"}, isRedelivery=None),
        body_of(metadata={"invoiceId": "x"}, invoiceId=..., type=None),
    ],
)
async def test_what_is_signed_but_no_delivery_is_a_bad_request(
    book: Any, shop: Any, body: bytes
) -> None:
    answer = await deliver(shop, body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad-request"
    assert await rows(book) == []


async def test_both_secrets_of_a_rotation_hold(book: Any, serve: Any) -> None:
    async with serve(webhook_secrets={"shop": (b"new", b"old")}) as api:
        for number, secret in enumerate((b"new", b"old")):
            body = body_of(deliveryId=f"d{number}")
            assert (await deliver(api, body, secret=secret)).status_code == 200
        assert (await deliver(api, body_of(), secret=b"older")).status_code == 401
    assert len(await rows(book)) == 2


async def test_a_store_has_its_own_secret(book: Any, serve: Any) -> None:
    await book.whole()
    await follow_stores(book, shop=STORE_ID, stall="other")
    body, theirs = body_of(), body_of(storeId="other")
    async with serve(webhook_secrets={"shop": (b"one",), "stall": (b"two",)}) as api:
        stall = "/webhooks/btcpay/stall"
        assert (await deliver(api, body, secret=b"two")).status_code == 401
        assert (await deliver(api, body, stall, secret=b"one")).status_code == 401
        # The secret holds, but it is not that store's: operators use secrets twice.
        assert (await deliver(api, body, stall, secret=b"two")).status_code == 401
        assert (await deliver(api, theirs, secret=b"one")).status_code == 401
        assert await rows(book) == []
        assert (await deliver(api, theirs, stall, secret=b"two")).status_code == 200
        assert (await deliver(api, body, secret=b"one")).status_code == 200
    counts = await refused(book, 4)
    assert counts == {
        ("shop", "bad_signature"): 1,
        ("stall", "bad_signature"): 1,
        ("shop", "other_store"): 1,
        ("stall", "other_store"): 1,
    }


async def test_a_store_the_daemon_has_not_named_yet_is_taken_at_its_secret(
    book: Any, serve: Any
) -> None:
    async with serve(webhook_secrets={"shop": (SECRET,)}) as api:
        assert (await deliver(api, body_of())).status_code == 200


async def test_one_signature_and_one_alone(book: Any, shop: Any) -> None:
    body = body_of()
    good = ("BTCPay-Sig", sign(body))
    for headers in ([], [good, good], [good, ("btcpay-sig", "x")], [("BTCPay-Sig", "")]):
        answer = await shop.client.post(SHOP, content=body, headers=headers)
        assert answer.status_code == 401
        assert "stored" not in answer.text
    assert (await shop.client.post(SHOP, content=body, headers=[good])).status_code == 200


async def test_a_body_up_to_the_limit_is_read_and_no_more(book: Any, shop: Any) -> None:
    base = body_of(padding="")
    filled = body_of(padding="x" * (MOST_BYTES - len(base)))
    assert len(filled) == MOST_BYTES
    assert (await deliver(shop, filled)).status_code == 200
    answer = await deliver(shop, filled + b" ")
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (MOST_BYTES // 10)

    headers = {"btcpay-sig": sign(b" ")}
    answer = await shop.client.post(SHOP, content=parts(), headers=headers)
    assert answer.status_code == 413
    assert len(await rows(book)) == 1


async def test_a_body_in_parts_is_one_body(book: Any, shop: Any) -> None:
    body = body_of()

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    headers = {"btcpay-sig": sign(body)}
    assert (await shop.client.post(SHOP, content=parts(), headers=headers)).status_code == 200
    assert len(await rows(book)) == 1


async def test_a_body_that_does_not_come_is_not_waited_for(
    book: Any, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raised_api.webhooks.receiver._BODY_SECONDS", 0.05)
    port = int(shop.url.rpartition(":")[2])
    for begun in (b"", b"{"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"POST {SHOP} HTTP/1.1\r\nHost: x\r\nBTCPay-Sig: sha256=00\r\nContent-Length: 9\r\n\r\n"
        )
        writer.write(head.encode() + begun)
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer = await reader.read()  # to the end of the connection
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()
    assert await refused(book, 2) == {("shop", "broken_off"): 2}


async def test_the_short_address_is_for_a_single_store(book: Any, serve: Any) -> None:
    body = body_of()
    async with serve(webhook_secrets={"shop": (SECRET,)}) as api:
        assert (await deliver(api, body, "/webhook")).status_code == 200
    (row,) = await rows(book)
    assert row.store == "shop"
    for secrets in ({}, {"shop": (SECRET,), "stall": (SECRET,)}):
        async with serve(webhook_secrets=secrets) as api:
            assert (await deliver(api, body, "/webhook")).status_code == 404


async def test_an_unknown_store_is_nothing_at_all(book: Any, shop: Any) -> None:
    for path in ("/webhooks/btcpay/other", "/webhooks/btcpay/", "/webhooks/btcpay/shop/x"):
        answer = await deliver(shop, body_of(), path)
        assert answer.status_code == 404
        assert answer.json()["detail"] == "There is nothing at this address."


async def test_only_post_delivers(shop: Any) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        answer = await shop.client.request(method, SHOP)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"


async def test_an_empty_secret_opens_nothing(book: Any, serve: Any) -> None:
    async with serve(webhook_secrets={"shop": (b"",)}) as api:
        assert (await deliver(api, body_of(), secret=b"")).status_code == 401


async def test_who_is_refused_too_often_is_told_to_wait_and_the_good_still_pass(
    book: Any, shop: Any
) -> None:
    body = body_of()
    answers = [await deliver(shop, body, secret=b"wrong") for _ in range(61)]
    assert [answer.status_code for answer in answers] == [401] * 60 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    other = {"x-forwarded-for": "203.0.113.7"}
    assert (await deliver(shop, body, secret=b"wrong", **other)).status_code == 401
    assert (await deliver(shop, body)).status_code == 200
    assert await refused(book, 62) == {("shop", "bad_signature"): 62}


async def test_what_cannot_be_stored_is_to_be_sent_again(book: Any, shop: Any) -> None:
    async with book.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE delivery RENAME TO elsewhere"))
    answer = await deliver(shop, body_of())
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    async with book.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE elsewhere RENAME TO delivery"))
    assert (await deliver(shop, body_of())).status_code == 200
    assert len(await rows(book)) == 1


async def test_deliveries_are_not_questions(book: Any, serve: Any) -> None:
    """A closed record takes them, and they do not use up what an address may ask."""
    secrets = {"shop": (SECRET,)}
    async with serve(webhook_secrets=secrets, api_public=False, rate_limit=1) as api:
        for number in range(5):
            answer = await deliver(api, body_of(deliveryId=f"d{number}"))
            assert answer.status_code == 200
            assert "ratelimit-limit" not in answer.headers
        text = (await api.get("/metrics")).text
        assert 'route="/webhooks/btcpay/{label}",status="200"} 5.0' in text
