"""`raised api`: check that this configuration may be served, and serve until asked to stop."""

import asyncio

import uvloop

from raised.clock import now
from raised.config.load import Config
from raised.db.engine import open_reader, reading
from raised.db.requests.api_keys import keys_by_hash
from raised.db.upgrade import require_current
from raised.errors import ConfigError, RecordReplaced
from raised_api.app import create_app
from raised_api.server import Server, Systemd, build_server, open_socket


def main(config: Config) -> int:
    """Run the program; the process' exit code.

    Raises:
        ConfigError: the settings do not allow to serve.
        WrongRecord: the record has another schema or network.
        RecordReplaced: the record was deleted or replaced while it was served.
    """
    return uvloop.run(serve(config))


async def serve(config: Config) -> int:
    """Serve until asked to stop; 1 when an error ended it.

    Raises:
        RecordReplaced: the record was deleted or replaced meanwhile.
    """
    environment = config.environment
    await _require_record(config)
    listening = open_socket(environment.api_bind)
    stop = asyncio.Event()
    systemd = Systemd(environment)
    replaced: list[RecordReplaced] = []
    app = create_app(
        environment, now, stop, on_read=systemd.feed_watchdog, on_replaced=replaced.append
    )
    server = build_server(app, environment, stop, systemd)
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(_exit_at(stop, server))
        await server.serve([listening])
        stopping.cancel()
    if replaced:
        raise replaced[0]
    return 1 if server.failed else 0


async def _require_record(config: Config) -> None:
    engine = open_reader(config.environment.database_url)
    try:
        async with reading(engine) as conn:
            await require_current(conn, config.network)
            has_keys = bool(await keys_by_hash(conn))
    finally:
        await engine.dispose()
    _require_keys_or_public(config, has_keys=has_keys)


def _require_keys_or_public(config: Config, *, has_keys: bool) -> None:
    """An address that others reach serves nothing by accident, neither to all nor to nobody."""
    environment = config.environment
    is_reachable = not environment.api_bind.is_loopback
    if is_reachable and environment.api_public is not True and not has_keys:
        raise ConfigError(
            f"RAISED_API_BIND: {environment.api_bind.host} is reached from elsewhere and no key is "
            "configured; set RAISED_API_PUBLIC=true if everybody may read, or make a key with "
            "`raised keys new`"
        )


async def _exit_at(stop: asyncio.Event, server: Server) -> None:
    await stop.wait()
    server.should_exit = True
