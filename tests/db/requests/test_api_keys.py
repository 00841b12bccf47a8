"""Keys: made, found by hash, revoked; never kept themselves."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.db.engine import reading, transact
from raised.db.requests.api_keys import (
    add_key,
    hash_of,
    is_token,
    keys_by_hash,
    list_keys,
    new_key,
    revoke_key,
)
from raised.errors import InvalidInput


async def test_a_key_is_found_by_the_hash_of_its_text_until_it_is_revoked(
    writer: AsyncEngine,
) -> None:
    key, other = new_key(["read"]), new_key(["metrics"])
    await transact(writer, add_key, key, ["metrics", "read"], 10)
    await transact(writer, add_key, other, ["metrics"], 11)
    async with reading(writer) as conn:
        found = (await keys_by_hash(conn))[hash_of(key.token)]
    assert (found.id, found.created_at) == (key.id, 10)
    assert found.scopes == {"read", "metrics"}
    assert await transact(writer, revoke_key, key.id, 20)
    assert not await transact(writer, revoke_key, key.id, 30)
    assert not await transact(writer, revoke_key, "nobody", 30)
    async with reading(writer) as conn:
        assert set(await keys_by_hash(conn)) == {other.hash}
        assert [(key.id, key.revoked_at) for key in await list_keys(conn)] == [
            (key.id, 20),
            (other.id, None),
        ]


async def test_the_record_holds_no_key(writer: AsyncEngine) -> None:
    key = new_key(["admin"])
    await transact(writer, add_key, key, ["admin"], 10)
    async with reading(writer) as conn:
        (row,) = (await conn.execute(text("SELECT * FROM api_key"))).all()
    assert key.token.rpartition("_")[2] not in repr(row)


def test_a_key_has_its_form_and_is_nobody_elses() -> None:
    key_id, token, hashed = new_key(["read"])
    assert token.startswith(f"rk_{key_id}_")
    assert is_token(token)
    assert hashed == hash_of(token)
    assert token != new_key(["read"]).token
    for other in ("", "rk_", token.upper(), token + "0", token[:-1], "rk_é"):
        assert not is_token(other)


@pytest.mark.parametrize("scopes", [[], ["reed"], ["read", "invoices"], [""]])
def test_a_key_needs_scopes_that_there_are(scopes: list[str]) -> None:
    with pytest.raises(InvalidInput, match="read, invoices:read, metrics, admin"):
        new_key(scopes)
