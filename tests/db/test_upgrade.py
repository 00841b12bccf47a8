"""What a migration changes in a record that an earlier version wrote."""

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import create_async_engine
from tests.rig.earlier_record import load_earlier_record

from raised.db.engine import open_writer, reading, sqlite_path
from raised.db.schema import pull_payment
from raised.db.upgrade import upgrade

PERSON = "Order 1017, Alice Smith <alice@example.org>"
REFUND = "Refund 9mywzTcLbbFaWb4hmdPmfh"


async def test_names_that_a_person_wrote_leave_the_database(empty_database_url: str) -> None:
    await load_earlier_record(empty_database_url)
    earlier = create_async_engine(empty_database_url)
    names = {"a": PERSON, "b": "Refund Alice", "c": REFUND, "d": None, "e": f"{REFUND} for Bob"}
    async with earlier.begin() as conn:
        statement = text("INSERT INTO pull_payment (store, id, name) VALUES ('shop', :id, :name)")
        await conn.execute(statement, [{"id": key, "name": name} for key, name in names.items()])
    await earlier.dispose()
    engine = open_writer(empty_database_url)
    await upgrade(engine, "regtest")
    async with reading(engine) as conn:
        of_shop = pull_payment.c.store == "shop"
        rows = await conn.execute(select(pull_payment.c.id, pull_payment.c.name).where(of_shop))
        kept = {row.id: row.name for row in rows}
        refunds = await conn.scalars(select(pull_payment.c.name).where(~of_shop))
        assert all(name.startswith("Refund ") for name in refunds)
    await engine.dispose()
    assert kept == {**dict.fromkeys("abde"), "c": REFUND}
    path = sqlite_path(empty_database_url)
    if path is not None:  # nor do they stay in pages that are not used any more
        assert not [
            file for file in path.parent.glob(f"{path.name}*") if b"Alice" in file.read_bytes()
        ]
