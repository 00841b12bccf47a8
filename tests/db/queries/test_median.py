"""The middle of amounts in two tables is that of all of them sorted."""

import random

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.queries.median import Amounts, middle_of

_METADATA = MetaData()
_SATS = Table("some_sats", _METADATA, Column("amount", BigInteger))
_MSATS = Table("some_msats", _METADATA, Column("amount", BigInteger))


async def found(writer: AsyncEngine, sats: list[int], msats: list[int]) -> list[int]:
    async with writer.connect() as conn:
        await conn.run_sync(_METADATA.create_all)
        for table, amounts in ((_SATS, sats), (_MSATS, msats)):
            if amounts:
                await conn.execute(insert(table), [{"amount": amount} for amount in amounts])
        lists = [
            Amounts(select(_SATS), _SATS.c.amount, 1000),
            Amounts(select(_MSATS), _MSATS.c.amount, least=1),
        ]
        middle = await middle_of(conn, lists)
        await conn.rollback()
    return middle


def right(sats: list[int], msats: list[int]) -> list[int]:
    every = sorted([amount * 1000 for amount in sats] + [msat for msat in msats if msat])
    return every[(len(every) - 1) // 2 : len(every) // 2 + 1]


@pytest.mark.parametrize("most", [1, 3, 50, 10**6])
@pytest.mark.parametrize("few", [0, 1, 7])
async def test_it_is_the_middle_of_all_sorted(
    writer: AsyncEngine, monkeypatch: pytest.MonkeyPatch, most: int, few: int
) -> None:
    monkeypatch.setattr("raised.db.queries.median._FEW", few)
    chance = random.Random(most + few)
    for _ in range(12):
        sats = [chance.randint(0, most) for _ in range(chance.randint(0, 40))]
        msats = [chance.randint(0, most * 1000) for _ in range(chance.randint(0, 40))]
        middle = await found(writer, sats, msats)
        assert middle == right(sats, msats)


async def test_two_in_the_middle_may_be_far_apart(
    writer: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raised.db.queries.median._FEW", 0)
    assert await found(writer, [1, 1, 9, 9], []) == [1000, 9000]
    assert await found(writer, [1, 1], [9001, 9002]) == [1000, 9001]
    assert await found(writer, [], []) == []
