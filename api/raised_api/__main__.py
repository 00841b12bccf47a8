"""`raised api`: serve until asked to stop, in such an order that open streams end by themselves."""

import argparse
import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
import uvloop
from litestar import Litestar

from raised.config import Config, Environment, load_config
from raised.db.engine import open_reader, reading
from raised.db.upgrade import require_current
from raised.errors import ConfigError
from raised_api.app import create_app

_GOODBYE_SECONDS = 5
_log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn tells an application to stop only when its connections have ended, and streams do
    not end before they are told: so the signal sets our event, too.
    """

    def __init__(
        self, config: uvicorn.Config, stop: asyncio.Event, notify_socket: str | None
    ) -> None:
        super().__init__(config)
        self._stop = stop
        self._notify_socket = notify_socket
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        _log.info("serving", address=f"http://{host}:{port}/")
        if self._notify_socket:
            _notify(self._notify_socket, "READY=1")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came; the second one does not wait.

        Not uvicorn's own: it would raise the signal again at the end, and to be asked to stop is
        to end well.
        """
        del sig, frame
        self.force_exit = self.should_exit
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
    if not environment.api_bind.is_loopback and environment.api_public is not True:
        raise ConfigError(
            f"RAISED_API_BIND: {environment.api_bind.host} is reached from elsewhere and no key is "
            "configured; set RAISED_API_PUBLIC=true if everybody may read"
        )
    await _require_record(config)
    stop = asyncio.Event()
    server = server_of(create_app(environment, now, stop), environment, stop)
    async with asyncio.TaskGroup() as group:
        ending = group.create_task(_end_at(stop, server))
        await server.serve()
        ending.cancel()
    return 0 if server.started and not server.lifespan.should_exit else 1


def server_of(app: Litestar, environment: Environment, stop: asyncio.Event) -> Server:
    """The server of an application, whose streams end when it is asked to stop."""
    config = uvicorn.Config(
        app,
        host=environment.api_bind.host,
        port=environment.api_bind.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose word counts is the gate's matter
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )
    return Server(config, stop, environment.notify_socket)


def now() -> int:
    """Unix seconds, UTC."""
    return int(datetime.now(UTC).timestamp())


async def _require_record(config: Config) -> None:
    engine = open_reader(config.environment.database_url)
    try:
        async with reading(engine) as conn:
            await require_current(conn, config.network)
    finally:
        await engine.dispose()


async def _end_at(stop: asyncio.Event, server: Server) -> None:
    await stop.wait()
    server.should_exit = True


def _notify(address: str, state: str) -> None:
    """Tell systemd. Source: sd_notify(3)."""
    path = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(path)
        sock.sendall(state.encode())
