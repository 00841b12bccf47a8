"""`raised up`: the daemon and the API as two child processes, one log, one Ctrl-C."""

import asyncio
import ctypes
import signal
import sys
from asyncio.subprocess import Process
from typing import Final

import structlog

_STOP_SECONDS: Final = 20.0
_ENDED_WELL: Final = (0, -signal.SIGTERM)  # the latter: asked before it could listen
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_LIBC: Final = ctypes.CDLL(None)
_log = structlog.get_logger()


async def run_both(settings: list[str]) -> int:
    """Run both until one ends or we are asked to stop; the exit code of whichever ended first.

    `settings` are the command-line options that both get. SIGHUP is passed on to the daemon, which
    reloads its configuration.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    children: dict[str, Process] = {}
    loop.add_signal_handler(signal.SIGHUP, _reload, children)
    for name in ("run", "api"):
        children[name] = await _start(name, settings)
    async with asyncio.TaskGroup() as group:
        ends = {
            group.create_task(child.wait(), name=name): name for name, child in children.items()
        }
        asked = group.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait([*ends, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        codes = [child.returncode for child in children.values()]
        await _stop(children)
    if asked in done:
        return 0 if all(child.returncode in _ENDED_WELL for child in children.values()) else 1
    ended = next(name for task, name in ends.items() if task in done)
    code = next(code for code in codes if code is not None)
    _log.error("a program ended by itself, so both are stopped", program=ended, exit_code=code)
    return code if code > 0 else 1


async def _start(name: str, settings: list[str]) -> Process:
    # A session of its own: a terminal's Ctrl-C reaches us alone, and we ask each child once.
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "raised", name, *settings),
        start_new_session=True,
        preexec_fn=_prepare_child,
    )


def _prepare_child() -> None:
    # Killed, we can ask nobody: then the kernel does, or the next start would find a second writer.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # Until the daemon handles it itself, SIGHUP would end it; it reads the newest file anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _reload(children: dict[str, Process]) -> None:
    daemon = children.get("run")
    if daemon is not None and daemon.returncode is None:
        daemon.send_signal(signal.SIGHUP)


async def _stop(children: dict[str, Process]) -> None:
    running = [child for child in children.values() if child.returncode is None]
    for child in running:
        child.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            for child in running:
                await child.wait()
    except TimeoutError:
        for child in running:
            if child.returncode is None:
                child.kill()
