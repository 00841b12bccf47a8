"""The HTTP server: uvicorn, ended in such an order that open streams end by themselves."""

import asyncio
import signal
import socket
from time import monotonic
from types import FrameType
from typing import Final

import structlog
import uvicorn
from litestar.types import ASGIApp
from uvicorn.lifespan.on import LifespanOn

from raised import __version__
from raised.config.load import Bind, Environment
from raised.errors import ConfigError
from raised.systemd import notify
from raised_api.http.connection import BoundedConfig, ConnectionLimits

# Open requests get this long to end; systemd's own limit, after which it kills, is longer.
_SHUTDOWN_SECONDS: Final = 5
_log = structlog.get_logger()


class Systemd:
    """Reports to systemd that we serve, and that we can read the record."""

    def __init__(self, environment: Environment) -> None:
        self._socket = environment.notify_socket
        # A third, so that two late reports in a row do not restart us.
        self._interval_seconds = (environment.watchdog_seconds or 0) / 3
        self._reported_at = 0.0

    def ready(self) -> None:
        """We serve."""
        notify(self._socket, "READY=1")

    def feed_watchdog(self) -> None:
        """The record was read; called many times a second, reported when it is due."""
        if self._interval_seconds and monotonic() - self._reported_at >= self._interval_seconds:
            self._reported_at = monotonic()
            notify(self._socket, "WATCHDOG=1")


class Server(uvicorn.Server):
    """uvicorn stops an application only when its connections have ended, and streams do not end
    before they are told to: so a signal sets our event, too.
    """

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event, systemd: Systemd) -> None:
        super().__init__(config)
        self._stop = stop
        self._systemd = systemd
        self._loop = asyncio.get_running_loop()

    @property
    def failed(self) -> bool:
        """Whether an error of ours or of the database ended it."""
        lifespan = self.lifespan
        return not self.started or (
            isinstance(lifespan, LifespanOn)
            and (lifespan.error_occurred or lifespan.shutdown_failed)
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, log it and report it to systemd."""
        try:
            await super().startup(sockets)
        except SystemExit:  # so uvicorn ends when the application did not start, and has logged why
            self.should_exit = True
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        _log.info("serving", address=f"http://{host}:{port}/", version=__version__)
        self._systemd.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal; at the second one do not wait.

        uvicorn's own raises the signal again at the end; being asked to stop is exit code 0.
        """
        del frame
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._stop.set)


def build_server(
    app: ASGIApp, environment: Environment, stop: asyncio.Event, systemd: Systemd
) -> Server:
    """The server of an application, whose streams end when it is asked to stop."""
    config = BoundedConfig(
        app,
        ConnectionLimits.of_process(environment.trusted_proxies),
        host=environment.api_bind.host,
        port=environment.api_bind.port,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # client_ip decides which proxies are trusted
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    return Server(config, stop, systemd)


def open_socket(bind: Bind) -> socket.socket:
    """The socket to serve on: uvicorn's own would end the process with an exit code of its own.

    Raises:
        ConfigError: the address is taken, or not of this machine.
    """
    try:
        addresses = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = addresses[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise ConfigError(f"RAISED_API_BIND: {bind.host}:{bind.port}: {error.strerror}") from error
    return listening
