"""The daemon's life: open, start, wait, drain, close. Wires everything, decides nothing."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Never

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from raised import __version__
from raised.btcpay.source import StoreSource
from raised.chain.source import ChainSource
from raised.clock import now
from raised.config.load import Config
from raised.db.engine import Assure, reading
from raised.db.queries.chain_source import recent_blocks
from raised.db.upgrade import newest_revision
from raised.domain.angor.network import network_named
from raised.domain.observation import ClockTicked, Observation
from raised.nostr.source import RelaySource
from raised.record import write_observations
from raised.service.config_observations import campaigns_configured
from raised.service.jobs import schedule_jobs
from raised.service.metrics import QUEUE_DEPTH, measure_commit, serve_metrics
from raised.service.open_record import open_record, policy_of
from raised.service.record_view import RecordView
from raised.service.reload import Reload
from raised.service.source_settings import (
    chain_settings,
    proxy_settings,
    relay_settings,
    store_settings,
)
from raised.systemd import notify

Task = Callable[[asyncio.Queue[Observation]], Coroutine[Any, Any, Never]]

# Sources wait while so many observations do: the writer is slower than they are.
_QUEUE_SIZE: Final = 256
# The API calls the daemon dead after a multiple of it, and systemd's watchdog is fed by its commit.
_TICK_SECONDS: Final = 5.0
# systemd kills what has not stopped after TimeoutStopSec, which is longer.
_DRAIN_SECONDS: Final = 30.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Sources:
    relays: RelaySource
    explorers: ChainSource
    stores: StoreSource

    def wake(self) -> None:
        """The record has changed: there may be something new to look for."""
        self.relays.wake()
        self.explorers.wake()
        self.stores.wake()


async def run_daemon(config: Config) -> int:
    """Follow the sources until a signal asks us to stop; the exit code.

    Raises:
        ConfigError, WrongRecord: something must be edited or upgraded first.
        RecordUnavailable: the database went away; the next start goes on where this one ended.
    """
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        record = await open_record(stack, config)
        serve_metrics(config.environment.metrics_bind)
        sources = _open_sources(stack, config, record.reader)
        reload = Reload(config, sources.relays, sources.stores)

        def on_commit(batch: Sequence[Observation], seconds: float) -> None:
            measure_commit(batch, seconds)
            sources.wake()
            reload.on_commit(batch)
            # The watchdog is pinged only after a commit, so a stuck writer is restarted. With
            # nothing else to write, the tick is committed.
            notify(config.environment.notify_socket, "WATCHDOG=1")

        observations: asyncio.Queue[Observation] = asyncio.Queue(_QUEUE_SIZE)
        QUEUE_DEPTH.set_function(observations.qsize)
        schedule_jobs(stack, config.retention, observations, sources.relays, sources.stores)
        write = partial(
            write_observations, engine=record.writer, policy=policy_of(config), committed=on_commit
        )
        # Before anything that stores show: their invoices are looked up in the campaigns.
        await observations.put(campaigns_configured(config))
        await _log_start(config, record.reader)
        tasks: list[Task] = [
            reload.follow,
            sources.relays.follow,
            sources.explorers.follow,
            sources.stores.follow,
            partial(_tick, assure=record.assure),
        ]
        await _run(observations, write, tasks, stop, config.environment.notify_socket)
    _log.info("stopped")
    return 0


async def _log_start(config: Config, reader: AsyncEngine) -> None:
    """What runs from now on: the first line to read when something is odd."""
    async with reading(reader) as conn:
        blocks = await recent_blocks(conn, 1)
    _log.info(
        "following",
        version=__version__,
        database=reader.dialect.name,
        schema=newest_revision(),
        network=config.network,
        height=blocks[0].height if blocks else None,
        tip=blocks[0].hash if blocks else None,
        relays=[relay.url for relay in config.relays],
        explorers=[explorer.url for explorer in config.chain.explorers],
        stores=[store.label for store in config.stores],
    )


def _open_sources(stack: AsyncExitStack, config: Config, reader: AsyncEngine) -> _Sources:
    view = RecordView(reader, config.chain.finality)
    relays = RelaySource(relay_settings(config), view, proxy=proxy_settings(config))
    explorers = ChainSource(chain_settings(config), network_named(config.network), view)
    stack.push_async_callback(explorers.close)
    stores = StoreSource(store_settings(config), view)
    stack.push_async_callback(stores.close)
    return _Sources(relays, explorers, stores)


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    return stop


async def _run(
    observations: asyncio.Queue[Observation],
    write: Task,
    tasks: list[Task],
    stop: asyncio.Event,
    notify_socket: str | None,
) -> None:
    """Run all of it until `stop` is set, then write what was observed. The nesting is the order:
    the sources end first, and the writer once the queue is empty.
    """
    async with asyncio.TaskGroup() as writing:
        writer = writing.create_task(write(observations), name="writer")
        async with asyncio.TaskGroup() as following:
            running = [following.create_task(task(observations)) for task in tasks]
            notify(notify_socket, "READY=1")
            await stop.wait()
            notify(notify_socket, "STOPPING=1")
            for source in running:
                source.cancel()
        async with asyncio.timeout(_DRAIN_SECONDS):
            await observations.join()
        writer.cancel()


async def _tick(observations: asyncio.Queue[Observation], assure: Assure) -> Never:
    """Have the record say that we are alive, and make sure that the writer's lock is ours."""
    while True:
        await assure()
        await observations.put(ClockTicked(now()))
        await asyncio.sleep(_TICK_SECONDS)
