"""API keys. A key is shown once, when it is made; the record holds its hash.

A key's text is `rk_<id>_<secret>`. The secret is 256 random bits, so a plain SHA-256 of the whole
text cannot be turned back.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.bulk import add
from raised.db.schema import api_key
from raised.errors import InvalidInput

ADMIN: Final = "admin"
SCOPES: Final = ("read", "invoices:read", "metrics", ADMIN)
_TOKEN: Final = re.compile(r"rk_[0-9a-f]{12}_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the record knows it; `revoked_at` None: it opens what its scopes say.

    `last_used_at`: a minute or so late; None: never.
    """

    id: str
    scopes: frozenset[str]
    created_at: int
    revoked_at: int | None
    last_used_at: int | None = None

    @property
    def opens(self) -> frozenset[str]:
        """All scopes that it has: admin includes every other."""
        return frozenset(SCOPES) if ADMIN in self.scopes else self.scopes


class NewKey(NamedTuple):
    """A key that was just made. `token` is what its owner sends; it is kept nowhere."""

    id: str
    token: str
    hash: str


def new_key(scopes: Iterable[str]) -> NewKey:
    """A key that nobody has, for these scopes.

    Raises:
        InvalidInput: there is no such scope, or none is given.
    """
    _in_order(scopes)
    key_id = token_hex(6)
    token = f"rk_{key_id}_{token_hex(32)}"
    return NewKey(key_id, token, hash_of(token))


def hash_of(token: str) -> str:
    """What the record keeps of a key, in hex."""
    return sha256(token.encode()).hexdigest()


def is_token(text: str) -> bool:
    """Whether this has the form of a key."""
    return _TOKEN.fullmatch(text) is not None


async def add_key(conn: AsyncConnection, key: NewKey, scopes: Iterable[str], at: int) -> None:
    """Let a key open what these scopes say.

    Raises:
        InvalidInput: there is no such scope, or none is given.
    """
    wanted = _in_order(scopes)
    row = {
        "id": key.id,
        "hash": key.hash,
        "scopes": msgspec.json.encode(wanted).decode(),
        "created_at": at,
        "revoked_at": None,
    }
    await add(conn, api_key, [row])


async def list_keys(conn: AsyncConnection) -> list[ApiKey]:
    """All keys that were ever made, oldest first."""
    statement = select(api_key).order_by(api_key.c.created_at, api_key.c.id)
    return [_key(row) for row in await conn.execute(statement)]


async def revoke_key(conn: AsyncConnection, key_id: str, at: int) -> bool:
    """Let a key open nothing any more; False: there is none, or it does not already."""
    statement = update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
    done = await conn.execute(statement.values(revoked_at=at))
    return done.rowcount > 0


async def put_last_uses(conn: AsyncConnection, last_uses: Mapping[str, int]) -> None:
    """Store when keys (by id) were used last."""
    rows = [{"key": key_id, "at": at} for key_id, at in sorted(last_uses.items())]
    if rows:
        same = api_key.c.id == bindparam("key")
        await conn.execute(update(api_key).where(same).values(last_used_at=bindparam("at")), rows)


async def keys_by_hash(conn: AsyncConnection) -> dict[str, ApiKey]:
    """The keys that open something, by hash."""
    statement = select(api_key).where(api_key.c.revoked_at.is_(None))
    return {row.hash: _key(row) for row in await conn.execute(statement)}


def _in_order(scopes: Iterable[str]) -> list[str]:
    wanted = set(scopes)
    if unknown := sorted(wanted - set(SCOPES)):
        raise InvalidInput(f"{', '.join(unknown)}: scopes are {', '.join(SCOPES)}")
    if not wanted:
        raise InvalidInput(f"a key needs a scope: {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in wanted]


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    scopes = frozenset(msgspec.json.decode(row.scopes, type=list[str]))
    return ApiKey(row.id, scopes, row.created_at, row.revoked_at, row.last_used_at)
