"""`raised api`: serve until asked to stop, in such an order that open streams end by themselves."""

import argparse
import asyncio
import signal
import socket
from pathlib import Path
from time import monotonic
from types import FrameType

import structlog
import uvicorn
import uvloop
from litestar import Litestar
from uvicorn.lifespan.on import LifespanOn

from raised.clock import now
from raised.config.load import Bind, Config, Environment, load_config
from raised.db.engine import open_reader, reading
from raised.db.requests.api_keys import keys_by_hash
from raised.db.upgrade import require_current
from raised.errors import ConfigError
from raised.systemd import notify
from raised_api.app import create_app

_GOODBYE_SECONDS = 5
_log = structlog.get_logger()


class Systemd:
    """Tells systemd how we are, and not more often than it wants to know."""

    def __init__(self, environment: Environment) -> None:
        self._socket = environment.notify_socket
        self._every_seconds = (environment.watchdog_seconds or 0) / 3
        self._fed_at = 0.0

    def ready(self) -> None:
        """We serve."""
        notify(self._socket, "READY=1")

    def feed_watchdog(self) -> None:
        """We can read the record."""
        if self._every_seconds and monotonic() - self._fed_at >= self._every_seconds:
            self._fed_at = monotonic()
            notify(self._socket, "WATCHDOG=1")


class Server(uvicorn.Server):
    """uvicorn tells an application to stop only when its connections have ended, and streams do
    not end before they are told: so the signal sets our event, too.
    """

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event, systemd: Systemd) -> None:
        super().__init__(config)
        self._stop = stop
        self._systemd = systemd
        self._loop = asyncio.get_running_loop()

    @property
    def failed(self) -> bool:
        """Whether a fault, ours or the database's, ended it."""
        lifespan = self.lifespan
        return not self.started or (
            isinstance(lifespan, LifespanOn)
            and (lifespan.error_occurred or lifespan.shutdown_failed)
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn's word for an application that did not start, and said why
            self.should_exit = True
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        _log.info("serving", address=f"http://{host}:{port}/")
        self._systemd.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came; the second one does not wait.

        uvicorn's own would raise the signal again at the end; being asked to stop is exit code 0.
        """
        del frame
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._stop.set)


def main(argv: list[str]) -> int:
    """Run the program; the process' exit code.

    Raises:
        ConfigError: the settings do not allow to serve.
        WrongRecord: the record has another schema or network.
    """
    parser = argparse.ArgumentParser(prog="raised api")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--log-format")  # logs are the caller's matter
    parser.add_argument("--log-level")
    return uvloop.run(serve(load_config(parser.parse_args(argv).config)))


async def serve(config: Config) -> int:
    """Serve until asked to stop; 1 when a fault of ours ended it."""
    environment = config.environment
    await _require_record(config)
    listening = _listen(environment.api_bind)
    stop = asyncio.Event()
    systemd = Systemd(environment)
    app = create_app(environment, now, stop, looked=systemd.feed_watchdog)
    server = server_of(app, environment, stop, systemd)
    async with asyncio.TaskGroup() as group:
        ending = group.create_task(_end_at(stop, server))
        await server.serve([listening])
        ending.cancel()
    return 1 if server.failed else 0


def server_of(
    app: Litestar, environment: Environment, stop: asyncio.Event, systemd: Systemd
) -> Server:
    """The server of an application, whose streams end when it is asked to stop."""
    config = uvicorn.Config(
        app,
        host=environment.api_bind.host,
        port=environment.api_bind.port,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose word counts is the gate's matter
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    return Server(config, stop, systemd)


def _listen(bind: Bind) -> socket.socket:
    """The socket to serve on: uvicorn's own would end the process with an exit code of its own."""
    try:
        found = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise ConfigError(f"RAISED_API_BIND: {bind.host}:{bind.port}: {error.strerror}") from error
    return listening


async def _require_record(config: Config) -> None:
    engine = open_reader(config.environment.database_url)
    try:
        async with reading(engine) as conn:
            await require_current(conn, config.network)
            has_keys = bool(await keys_by_hash(conn))
    finally:
        await engine.dispose()
    environment = config.environment
    is_reached = not environment.api_bind.is_loopback
    if is_reached and environment.api_public is not True and not has_keys:
        raise ConfigError(
            f"RAISED_API_BIND: {environment.api_bind.host} is reached from elsewhere and no key is "
            "configured; set RAISED_API_PUBLIC=true if everybody may read, or make a key with "
            "`raised keys new`"
        )


async def _end_at(stop: asyncio.Event, server: Server) -> None:
    await stop.wait()
    server.should_exit = True
