"""Opening the record to write: nobody else may write to it, and its schema must be ours."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from raised.config.load import Config
from raised.db.engine import Assure, open_reader, open_writer, reading, sole_writer, transact
from raised.db.upgrade import require_current
from raised.domain.angor.network import network_named
from raised.domain.observation import Observation
from raised.record import Policy, apply_observations
from raised.service.config_observations import daemon_started, sources_configured


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """An engine that writes and one that reads. `assure` raises when the writer's lock is lost."""

    writer: AsyncEngine
    reader: AsyncEngine
    assure: Assure


async def open_record(stack: AsyncExitStack, config: Config) -> OpenRecord:
    """Open the record until `stack` ends, and store what is followed from now on.

    Raises:
        WrongRecord: somebody else writes to it, or it is of another network or schema.
    """
    url = config.environment.database_url
    reader = open_reader(url)
    stack.push_async_callback(reader.dispose)
    async with reading(reader) as conn:
        await require_current(conn, config.network)
    assure = await stack.enter_async_context(sole_writer(url))
    writer = open_writer(url)
    stack.push_async_callback(writer.dispose)
    # Before any source starts: a store that reads other metadata than before is swept from its
    # beginning, and it looks that up when it starts.
    started: list[Observation] = [daemon_started(), sources_configured(config)]
    await transact(writer, apply_observations, started, policy_of(config))
    return OpenRecord(writer, reader, assure)


def policy_of(config: Config) -> Policy:
    """What the writer decides by."""
    chain = config.chain
    return Policy(network_named(config.network), chain.confirmations, chain.finality)
