"""`raised keys`: the keys of the API."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.clock import now
from raised.config.load import Config
from raised.db.engine import open_reader, open_writer, reading, transact
from raised.db.items.instant import instant
from raised.db.requests.api_keys import add_key, list_keys, new_key, revoke_key
from raised.db.upgrade import require_current
from raised.errors import NotInRecord

T = TypeVar("T")


async def make_key(config: Config, scopes: Sequence[str]) -> None:
    """Make a key and print it: it is shown this once."""
    key = new_key(scopes)
    await _change(config, add_key, key, scopes, now())
    click.echo(key.token)
    click.echo(f"key {key.id}; it is not shown again", err=True)


async def print_keys(config: Config) -> None:
    """Print a line for every key that was ever made."""
    keys = await _read(config, list_keys)
    for key in keys:
        state = "revoked" if key.revoked_at is not None else "valid"
        scopes = " ".join(sorted(key.scopes))
        used = "never used" if key.last_used_at is None else f"used {instant(key.last_used_at)}"
        click.echo(f"{key.id}  made {instant(key.created_at)}  {used:25}  {state:7}  {scopes}")


async def revoke(config: Config, key_id: str) -> None:
    """Revoke a key.

    Raises:
        NotInRecord: there is none, or it is revoked.
    """
    if not await _change(config, revoke_key, key_id, now()):
        raise NotInRecord(f"there is no valid key {key_id}: `raised keys list` shows all")
    click.echo(f"key {key_id} is revoked")


async def _read(config: Config, read: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Read from a record that exists and is current: opening it to write would create one."""
    engine = open_reader(config.environment.database_url)
    try:
        async with reading(engine) as conn:
            await require_current(conn, config.network)
            return await read(conn)
    finally:
        await engine.dispose()


async def _change(config: Config, change: Callable[..., Awaitable[T]], *args: Any) -> T:
    await _read(config, list_keys)
    engine = open_writer(config.environment.database_url)
    try:
        return await transact(engine, change, *args)
    finally:
        await engine.dispose()
