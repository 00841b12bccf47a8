"""`raised` in a fork of a process that has imported it: a start costs milliseconds, not a second.

Each program is a process of its own all the same: with its environment, its session, its files, and
an end by any signal. What `python -m raised` does before that, tests/process/test_commands.py and
test_life.py try with real starts.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.reduction import DupFd
from typing import Any, Final

from raised_simnet.demo.programs import ChildProcess, Program

# Whatever a program imports when it runs, too: else each of them does it again.
_IMPORTED: Final = (
    "aiosqlite",
    "anyio._backends._asyncio",
    "apscheduler.executors.asyncio",
    "apscheduler.triggers.cron",
    "apscheduler.triggers.interval",
    "asyncpg",
    "certifi",
    "encodings.idna",
    "httpcore",
    "litestar.middleware.allowed_hosts",
    "litestar.middleware.csrf",
    "litestar.middleware.response_cache",
    "litestar.plugins.attrs",
    "litestar.plugins.pydantic",
    "mako.template",
    "raised.__main__",
    "raised.commands.check",
    "raised.commands.keys",
    "raised.service.maintenance",
    "raised.service.run",
    "raised_api.__main__",
    "socksio",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


def _fork_server() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


_CONTEXT: Final = _fork_server()


class ForkedProgram(Program):
    """A program whose process is forked; it behaves as any `Program`."""

    async def _spawn(
        self, arguments: tuple[str, ...], environment: Mapping[str, str]
    ) -> ChildProcess:
        return await asyncio.to_thread(_fork, arguments, environment)


class _Forked:
    """A `ChildProcess` of the fork server."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None, "it was started"
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    async def wait(self) -> int:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        code = self._process.exitcode
        assert code is not None, "its end was told"
        return code

    def send_signal(self, signal: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal)


class _Descriptor:
    """A file of ours; in the process that it is sent to, the number of the same open file."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[object]]:
        return _received, (DupFd(self._number),)


def _received(sent: Any) -> int:
    return int(sent.detach())


def _fork(arguments: tuple[str, ...], environment: Mapping[str, str]) -> ChildProcess:
    started, tell = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(
        target=_run, args=(arguments, environment, _Descriptor(2), tell), daemon=True
    )
    process.start()
    tell.close()
    with started:
        started.recv()  # from now on there is a process group to kill
    return _Forked(process)


def _run(
    arguments: tuple[str, ...], environment: Mapping[str, str], errors: int, tell: Connection
) -> None:
    os.setsid()
    with tell:
        tell.send(True)
    for number in (1, 2):  # as of any `Program`: its output goes where our errors go
        os.dup2(errors, number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["raised", *arguments]
    from raised.__main__ import main

    main()
