"""The product's programs as child processes: started, watched, stopped, killed.

Their settings are the demo's own: nothing that the shell says of another record reaches them.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import httpx

from raised.errors import RaisedError

_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_LIBC: Final = ctypes.CDLL(None)
# What tells a program of ours where it runs, beside RAISED_…: systemd's.
_OF_SYSTEMD: Final = frozenset(
    {"STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC"}
)


class ProgramFailed(RaisedError):
    """A program ended by itself, or never became ready."""


class ChildProcess(Protocol):
    """What a program needs of its process; `asyncio.subprocess.Process` has it."""

    @property
    def pid(self) -> int:
        """Its id, which is that of its process group, too."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, the negative number of the signal that ended it, None while it lives."""

    async def wait(self) -> int:
        """The exit code, once there is one."""

    def send_signal(self, signal: int) -> None:
        """Send it a signal."""


class Program:
    """`raised` with these arguments, in a session of its own: a Ctrl-C is ours to pass on."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self.name = " ".join(("raised", *arguments))
        self._arguments = arguments
        self._environment = environment
        self._process: ChildProcess | None = None

    async def start(self) -> None:
        """Start it; its output goes where our errors go."""
        self._process = await self._spawn(self._arguments, self._environment)

    async def _spawn(
        self, arguments: tuple[str, ...], environment: Mapping[str, str]
    ) -> ChildProcess:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "raised", *arguments),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=_end_with_us,
        )

    async def ended(self) -> int:
        """Its exit code, once it has one."""
        assert self._process is not None, "started before"
        return await self._process.wait()

    async def succeed(self) -> None:
        """Run it to its end. Raises ProgramFailed."""
        await self.start()
        if code := await self.ended():
            raise ProgramFailed(f"`{self.name}` ended with {code}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None, "started before"
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "started before"
        return self._process.pid

    async def kill(self) -> None:
        """End it at once, as by a power cut, with whatever it started."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end; insist after a while."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def ready(self, client: httpx.AsyncClient) -> None:
        """Return when the API says that everything is ready. Raises ProgramFailed."""
        assert self._process is not None, "started before"
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await _is_ready(client):
                    if self._process.returncode is not None:
                        break
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise ProgramFailed(f"`{self.name}` did not become ready") from error
        if self._process.returncode is not None:
            raise ProgramFailed(f"`{self.name}` ended with {self._process.returncode}")


def _end_with_us() -> None:
    # Killed, we can ask nobody: then the kernel asks the program to end.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def environment(config: Path, port: int, database_url: str | None = None) -> dict[str, str]:
    """Ours without any setting of `raised` in it, and then the demo's own.

    The record lies beside the configuration unless `database_url` names another: a shell in which
    RAISED_DATABASE_URL names a real record must not have a made-up world written into it.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - what children inherit
        if not name.startswith("RAISED_") and name not in _OF_SYSTEMD
    }
    return {
        **inherited,
        "RAISED_DATABASE_URL": database_url or f"sqlite+aiosqlite:///{config.parent}/raised.db",
        "RAISED_LOG_LEVEL": "warning",
        "RAISED_RATE_LIMIT": "1000000",
        "RAISED_CONFIG": str(config),
        "RAISED_API_BIND": f"127.0.0.1:{port}",
        "RAISED_METRICS_BIND": f"127.0.0.1:{free_port()}",
    }


def free_port(wish: int = 0) -> int:
    """The wished port when nobody listens there, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wish))
        except OSError:
            return free_port()
        port: int = probe.getsockname()[1]
        return port


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False  # not listening yet
