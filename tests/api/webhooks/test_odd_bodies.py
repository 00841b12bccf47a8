"""Deliveries whose body is odd: what names an invoice or pull payment is never lost."""

import json
from typing import Any

from sqlalchemy import delete
from tests.api.webhooks.deliveries import BODIES, NOW, body_of, deliver, rows

from raised.db import schema


def nested(levels: int, inner: str = "1") -> bytes:
    """A delivery with metadata so many levels deep, before and after the ids."""
    deep = '{"a":[' * levels + inner + "]}" * levels
    fields = body_of(metadata=...).decode().strip()[1:-1]
    return f'{{"metadata":{deep},{fields},"more":{deep}}}'.encode()


ODD_BODIES = {
    "null redelivery": body_of(isRedelivery=None),
    "redelivery in words": body_of(isRedelivery="false"),
    "metadata 5,000 levels deep": nested(5_000),
    "metadata of 50,000 levels": nested(50_000),
    "brackets in a deep text": nested(5_000, r'"]}\"]}"'),
    "NUL in metadata": body_of(metadata={"note": "N"}).replace(b'"N"', b'"\0"'),
    "NUL in a key": body_of(metadata={"N": 1}).replace(b'"N"', b'"\0"'),
    "line break in a text": body_of(metadata={"note": "N"}).replace(b'"N"', b'"a\nb"'),
    "no UTF-8 in metadata": body_of(metadata={"note": "N"}).replace(b'"N"', b'"\xff\xfe"'),
    "half a surrogate": body_of(metadata={"note": "N"}).replace(b'"N"', rb'"\ud800"'),
    "a number without end": body_of(metadata={"n": 1}).replace(b" 1", b" " + b"9" * 10_000),
    "a trailing comma": body_of().rstrip()[:-1] + b",}",
    "something after it": BODIES["InvoiceSettled"] + b"\n{}",
    "a byte order mark": b"\xef\xbb\xbf" + BODIES["InvoiceSettled"],
    "cut off behind the ids": nested(5_000)[:-4_000],
    "type that is no name": body_of(type="naïve"),
    "null type": body_of(type=None),
    "number as webhook": body_of(webhookId=7),
    "no store": body_of(storeId=...),
    "null store": body_of(storeId=None),
    "time beyond the calendar": body_of(timestamp=2**63),
    "time before 1970": body_of(timestamp=-1),
    "time as text": body_of(timestamp="1773144000"),
    "time as fraction": body_of(timestamp=1773144000.5),
    "null time": body_of(timestamp=None),
    "empty id": body_of(deliveryId=""),
    "long id": body_of(deliveryId="x" * 129),
    "no id": body_of(deliveryId=..., originalDeliveryId=...),
}


async def test_what_is_odd_beside_the_invoices_id_loses_no_delivery(book: Any, shop: Any) -> None:
    """The server never sends again what was answered 400, and the id is enough to fetch it."""
    for name, body in ODD_BODIES.items():
        for _ in range(2):
            assert (await deliver(shop, body)).status_code == 200, name
        (row,) = await rows(book)
        assert row.invoice_id == json.loads(BODIES["InvoiceSettled"])["invoiceId"], name
        assert (row.processed_at, row.redelivery) == (None, False), name
        assert 0 <= row.sent_at <= NOW + 10**9, name
        async with book.engine.begin() as conn:
            await conn.execute(delete(schema.delivery))


async def test_what_is_odd_beside_a_pull_payments_id_loses_no_delivery(
    book: Any, shop: Any
) -> None:
    body = body_of(invoiceId=..., pullPaymentId="p", type="PayoutApproved", isRedelivery=None)
    assert (await deliver(shop, body)).status_code == 200
    (row,) = await rows(book)
    assert (row.type, row.invoice_id, row.pull_payment_id) == ("PayoutApproved", None, "p")


async def test_an_odd_body_of_another_store_is_refused_none_the_less(book: Any, shop: Any) -> None:
    body = body_of(storeId="other", isRedelivery=None)
    assert (await deliver(shop, body)).status_code == 401
    assert await rows(book) == []
