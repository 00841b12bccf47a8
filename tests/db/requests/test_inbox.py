"""The inbox's rows, on each database, and a database that cannot take them."""

import asyncio
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.databases import make_sqlite_record

from raised.db import schema
from raised.db.engine import reading, transact
from raised.db.requests.inbox import Delivery, count_refused, open_adder, store_ids
from raised.errors import RecordUnavailable

ONE = Delivery(
    store="shop",
    webhook_id="w",
    delivery_id="d1",
    original_delivery_id="d0",
    type='It\'s "odd" \\ $',
    invoice_id=None,
    pull_payment_id="p",
    redelivery=True,
    sent_at=2**40,
    received_at=5,
)


async def test_a_delivery_is_held_as_it_was_added(writer: AsyncEngine, database_url: str) -> None:
    adder = open_adder(database_url)
    await adder.add([ONE, replace(ONE, delivery_id="d2", redelivery=False, is_test=True)])
    await adder.close()
    async with reading(writer) as conn:
        rows = (await conn.execute(select(schema.delivery).order_by(schema.delivery.c.id))).all()
    first, second = (row._mapping for row in rows)
    assert dict(first) == {
        "id": first["id"],
        "store": "shop",
        "webhook_id": "w",
        "delivery_id": "d1",
        "original_delivery_id": "d0",
        "type": 'It\'s "odd" \\ $',
        "invoice_id": None,
        "pull_payment_id": "p",
        "redelivery": True,
        "sent_at": 2**40,
        "received_at": 5,
        "processed_at": None,
        "result": None,
    }
    assert (second["processed_at"], second["result"], second["redelivery"]) == (5, "test", False)
    assert second["id"] > first["id"]


async def test_what_is_held_is_left_as_it_is(writer: AsyncEngine, database_url: str) -> None:
    adder = open_adder(database_url)
    await adder.add([ONE])
    await adder.add([replace(ONE, type="Another"), replace(ONE, webhook_id="w2")])
    await adder.close()
    async with reading(writer) as conn:
        rows = (await conn.execute(select(schema.delivery).order_by(schema.delivery.c.id))).all()
    assert [(row.webhook_id, row.type) for row in rows] == [("w", ONE.type), ("w2", ONE.type)]


async def test_a_locked_record_takes_nothing_and_is_tried_again(tmp_path: Path) -> None:
    url = await make_sqlite_record(tmp_path / "raised.db")
    adder = open_adder(url)
    await adder.add([ONE])
    other = sqlite3.connect(tmp_path / "raised.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RecordUnavailable, match="locked"):
        await adder.add([replace(ONE, delivery_id="d2")])
    other.execute("ROLLBACK")
    await adder.add([replace(ONE, delivery_id="d2")])
    assert other.execute("SELECT count(*) FROM delivery").fetchone() == (2,)
    other.close()
    await adder.close()


async def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    """As far as a process can fill a disk: files may not grow beyond a limit."""
    url = await make_sqlite_record(tmp_path / "raised.db")
    script = """if True:
        import asyncio, resource, signal, sys
        from dataclasses import replace
        from raised.db.requests.inbox import Delivery, open_adder
        from raised.errors import RecordUnavailable

        async def fill(url):
            adder = open_adder(url)
            one = Delivery("shop", "w", "d", "d", "t" * 100, None, None, False, 1, 1)
            number = 0
            try:
                while number < 5000:
                    rows = [replace(one, delivery_id=f"d{number + n}") for n in range(100)]
                    await adder.add(rows)
                    number += 100
            except RecordUnavailable as error:
                print(number, error)
            await adder.close()

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        asyncio.run(fill(sys.argv[1]))
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, url, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    number, _, sentence = said.decode().partition(" ")
    assert process.returncode == 0
    assert "the database does not do what is asked" in sentence
    db = sqlite3.connect(tmp_path / "raised.db")
    assert db.execute("SELECT count(*) FROM delivery").fetchone() == (int(number),)
    db.close()


async def test_refusals_add_up_by_store_and_reason(writer: AsyncEngine) -> None:
    await transact(writer, count_refused, {("shop", "too_large"): 2, ("a", "not_json"): 1}, 10)
    await transact(writer, count_refused, {("shop", "too_large"): 3}, 20)
    await transact(writer, count_refused, {}, 30)
    async with reading(writer) as conn:
        table = schema.refused_delivery
        rows = (await conn.execute(select(table).order_by(table.c.store))).all()
    assert [tuple(row) for row in rows] == [("a", "not_json", 1, 10), ("shop", "too_large", 5, 20)]


async def test_store_ids_are_what_the_daemon_last_said(writer: AsyncEngine) -> None:
    async with reading(writer) as conn:
        assert await store_ids(conn) == {}
    row = {"id": 1, "version": "0", "started_at": 1, "seen_at": 1, "progress": "{}"}
    said = '{"stores":[{"label":"shop","store_id":"abc","metadata_keys":[]}],"relays":[]}'
    async with writer.begin() as conn:
        await conn.execute(schema.daemon.insert().values(settings=said, **row))
    async with reading(writer) as conn:
        assert await store_ids(conn) == {"shop": "abc"}
