"""Deliveries of a store's server, and what became of them."""

import asyncio
import json
from hmac import digest
from typing import Any

from sqlalchemy import select, update
from tests.rig import vectors
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema
from raised.db.engine import reading

NOW = 1_750_000_000
VECTORS = vectors.BTCPAY
BODIES = {path.stem: path.read_bytes() for path in sorted((VECTORS / "webhooks").iterdir())}

SECRET = b"2TbVyBHm6dDcXW4Yq3nKpL"
STORE_ID = "EqevX4KsotQEFnRhVshPqdP5mtzjXiiV4fEFogKmuEbB"
SHOP = "/webhooks/btcpay/shop"
MOST_BYTES = 1024 * 1024


def sign(body: bytes, secret: bytes = SECRET) -> str:
    return "sha256=" + digest(secret, body, "sha256").hex()


async def deliver(
    api: Any, body: bytes, path: str = SHOP, secret: bytes = SECRET, **headers: str
) -> Any:
    sent = {"content-type": "application/json", "btcpay-sig": sign(body, secret), **headers}
    return await api.client.post(path, content=body, headers=sent)


def body_of(**changed: Any) -> bytes:
    fields = json.loads(BODIES["InvoiceSettled"]) | changed
    given = {name: value for name, value in fields.items() if value is not ...}
    return json.dumps(given, indent=2).encode()


async def rows(book: Any) -> list[Any]:
    async with reading(book.engine) as conn:
        result = await conn.execute(select(schema.delivery).order_by(schema.delivery.c.id))
        return list(result.all())


async def refused(book: Any, number: int) -> dict[tuple[str, str], int]:
    """The counts, once there are so many in all."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            async with reading(book.engine) as conn:
                refusals = (await conn.execute(select(schema.refused_delivery))).all()
            counts = {(store, reason): count for store, reason, count, _ in refusals}
            if sum(counts.values()) >= number:
                return counts
            await asyncio.sleep(0.05)


async def follow_stores(book: Any, **ids: str) -> None:
    """Let the daemon say which stores it follows."""
    stores = [{"label": label, "store_id": store_id} for label, store_id in ids.items()]
    async with book.engine.begin() as conn:
        await conn.execute(update(schema.daemon).values(settings=json.dumps({"stores": stores})))
