"""Retention: what goes, and what must not."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from raised.db.engine import reading, transact
from raised.db.facts.retention import drop_announced, drop_old_changes
from raised.db.schema import change, project, tx, tx_project


async def add_changes(conn: AsyncConnection, *times: int) -> None:
    rows = [
        {"seq": seq, "type": "tip", "at": at, "source": "chain", "data": "{}"}
        for seq, at in enumerate(times, 1)
    ]
    await conn.execute(change.insert(), rows)


async def add_projects(conn: AsyncConnection, /, **statuses: str) -> None:
    rows = [
        {"id": name, "status": status, "flags": "[]", "candidates": 1, "first_seen_at": at}
        for at, (name, status) in enumerate(statuses.items())
    ]
    await conn.execute(project.insert(), rows)


async def test_old_changes_go_and_the_newest_stays_however_old(
    writer: AsyncEngine, reader: AsyncEngine
) -> None:
    await transact(writer, add_changes, 10, 20, 30)
    assert await transact(writer, drop_old_changes, 20) == 1
    assert await transact(writer, drop_old_changes, 1000) == 1
    async with reading(reader) as conn:
        assert list(await conn.scalars(select(change.c.seq))) == [3]


async def test_the_oldest_announced_projects_go_first_and_others_never(
    writer: AsyncEngine, reader: AsyncEngine
) -> None:
    await transact(
        writer,
        add_projects,
        a="announced",
        b="confirmed",
        c="announced",
        d="announced",
        e="announced",
    )
    assert await transact(writer, drop_announced, 2) == {"a", "c"}
    async with reading(reader) as conn:
        assert sorted(await conn.scalars(select(project.c.id))) == ["b", "d", "e"]
    assert await transact(writer, drop_announced, 2) == set()


async def test_an_announced_project_that_was_paid_stays(
    writer: AsyncEngine, reader: AsyncEngine
) -> None:
    async def pay(conn: AsyncConnection) -> None:
        await conn.execute(tx.insert().values(txid="t", raw=b"", first_seen_at=1))
        await conn.execute(tx_project.insert().values(txid="t", project_id="a"))

    await transact(writer, add_projects, a="announced", b="announced")
    await transact(writer, pay)
    assert await transact(writer, drop_announced, 0) == {"b"}
    async with reading(reader) as conn:
        assert list(await conn.scalars(select(project.c.id))) == ["a"]
