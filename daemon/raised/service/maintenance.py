"""Work on the record while no daemon runs: `raised db upgrade`, `db rewind` and `db check`."""

from contextlib import AsyncExitStack

from raised.clock import now
from raised.config.load import Config
from raised.db.audit.check import differences
from raised.db.engine import open_reader, open_writer, reading, transact
from raised.db.upgrade import require_current, upgrade
from raised.record import rewind
from raised.service.open_record import open_record, policy_of


async def upgrade_record(config: Config) -> tuple[str | None, str]:
    """Create or migrate the record; its schema before and after.

    Raises:
        WrongRecord: it is of another network, or of a newer version.
    """
    engine = open_writer(config.environment.database_url)
    try:
        return await upgrade(engine, config.network)
    finally:
        await engine.dispose()


async def rewind_record(config: Config, height: int) -> None:
    """Take back every block above `height`; reversals are booked, and histories are read again.

    Raises:
        WrongRecord: a daemon writes to it, or it is of another network or schema.
    """
    async with AsyncExitStack() as stack:
        opened = await open_record(stack, config)
        await transact(opened.writer, rewind, height, now(), policy_of(config))


async def check_record(config: Config) -> list[str]:
    """Every figure of the record that does not equal the sum of its movements."""
    engine = open_reader(config.environment.database_url)
    try:
        async with reading(engine) as conn:
            await require_current(conn, config.network)
            return [str(difference) for difference in await differences(conn)]
    finally:
        await engine.dispose()
