"""The schema's revision: bring it up to date, or refuse to work with another one."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from raised.db.engine import transact
from raised.db.schema import meta
from raised.errors import WrongRecord

_MIGRATIONS = Path(__file__).parent / "migrations"


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def newest_revision() -> str:
    """The revision that this version of the program works with."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert head is not None, "there is at least one migration"
    return head


async def upgrade(engine: AsyncEngine, network: str) -> tuple[str | None, str]:
    """Bring the schema up to date; the revisions before and after.

    A new record is bound to `network` for good.

    Raises:
        WrongRecord: the record is of another network, or of a newer version.
    """

    def run(conn: Connection) -> str | None:
        before = MigrationContext.configure(conn).get_current_revision()
        _refuse_newer(before)
        config = _alembic()
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
        return before

    async def migrate(conn: AsyncConnection) -> str | None:
        before = await conn.run_sync(run)
        await _bind_network(conn, network)
        return before

    return await transact(engine, migrate), newest_revision()


def _refuse_newer(found: str | None) -> None:
    revisions = ScriptDirectory.from_config(_alembic()).walk_revisions()
    if found is not None and found not in {each.revision for each in revisions}:
        raise WrongRecord(
            f"the record has schema {found}, which this version does not know: "
            "run the newer version of raised that made it"
        )


async def _bind_network(conn: AsyncConnection, network: str) -> None:
    known = await conn.scalar(select(meta.c.value).where(meta.c.key == "network"))
    if known is None:
        await conn.execute(meta.insert().values(key="network", value=network))
    elif known != network:
        raise WrongRecord(_other_network(known, network))


async def require_current(conn: AsyncConnection, network: str) -> None:
    """Do nothing if the record has our schema and network.

    Raises:
        WrongRecord: it has not; the message is the command to type.
    """

    def revision(sync: Connection) -> str | None:
        return MigrationContext.configure(sync).get_current_revision()

    found = await conn.run_sync(revision)
    if found != newest_revision():
        _refuse_newer(found)
        known = "no schema" if found is None else f"schema {found}"
        raise WrongRecord(
            f"the record has {known}, this version needs {newest_revision()}: "
            "run `raised db upgrade`"
        )
    bound = await conn.scalar(select(meta.c.value).where(meta.c.key == "network"))
    if bound != network:
        raise WrongRecord(_other_network(bound, network))


def _other_network(known: str | None, network: str) -> str:
    return (
        f"the record is of network {known}, the configuration says {network}: "
        "use another database or another configuration"
    )
