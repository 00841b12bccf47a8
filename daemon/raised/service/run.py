"""The daemon's life: open, start, wait, drain, close. Wires everything, decides nothing."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final, Never

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.btcpay.source import StoreSource
from raised.chain.source import ChainSource
from raised.clock import now
from raised.config.load import Config, Environment, load_config
from raised.db.audit.check import differences
from raised.db.engine import Assure, open_reader, open_writer, reading, sole_writer, transact
from raised.db.upgrade import require_current, upgrade
from raised.domain.angor.network import network_named
from raised.domain.observation import ClockTicked, Observation
from raised.errors import ConfigError
from raised.nostr.source import RelaySource
from raised.record import Policy, record, rewind
from raised.service.jobs import schedule
from raised.service.metrics import QUEUE_DEPTH, measure_commit, serve_metrics
from raised.service.publish_config import campaigns_configured, tell_sources, tell_start
from raised.service.record_view import RecordView
from raised.service.source_settings import (
    chain_settings,
    proxy_settings,
    relay_settings,
    store_settings,
)
from raised.systemd import notify

Source = Callable[[asyncio.Queue[Observation]], Coroutine[Any, Any, Never]]

_QUEUE_SIZE: Final = 256
_TICK_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 30.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Record:
    """The record, opened: one engine that writes and one that reads; `assure`: still ours."""

    writer: AsyncEngine
    reader: AsyncEngine
    assure: Assure


async def keep_record(config: Config) -> int:
    """Follow the sources until a signal asks us to stop; the exit code.

    Raises:
        ConfigError, WrongRecord: something must be edited or upgraded first.
        RecordUnavailable: the database went away; the next start goes on where this one ended.
    """
    stop = _stop_on_signals()
    async with AsyncExitStack() as stack:
        opened = await _open(stack, config)
        serve_metrics(config.environment.metrics_bind)
        view = RecordView(opened.reader, config.chain.finality)
        relays = RelaySource(relay_settings(config), view, proxy=proxy_settings(config))
        explorers = ChainSource(chain_settings(config), network_named(config.network), view)
        stack.push_async_callback(explorers.close)
        stores = StoreSource(store_settings(config), view)
        stack.push_async_callback(stores.close)
        schedule(stack, config.retention, opened.writer, relays, stores)

        def committed(batch: Sequence[Observation], seconds: float) -> None:
            measure_commit(batch, seconds)
            relays.wake()
            explorers.wake()
            stores.wake()
            # The heartbeat is an observation too: a writer that is stuck does not feed the dog.
            notify(config.environment.notify_socket, "WATCHDOG=1")

        policy = _policy(config)

        async def write(observations: asyncio.Queue[Observation]) -> Never:
            await record(observations, opened.writer, policy, committed)

        async def tick(observations: asyncio.Queue[Observation]) -> Never:
            await _tick(observations, opened.assure)

        async def reload(observations: asyncio.Queue[Observation]) -> Never:
            await observations.put(campaigns_configured(config))
            await _reload(config, relays, stores, opened.writer, observations)

        _log.info(
            "following",
            network=config.network,
            relays=len(config.relays),
            stores=len(config.stores),
        )
        # The grouping first: what stores tell is looked up in it.
        sources: list[Source] = [reload, relays.follow, explorers.follow, stores.follow, tick]
        await _live(write, sources, stop, config.environment)
    _log.info("stopped")
    return 0


def _policy(config: Config) -> Policy:
    chain = config.chain
    return Policy(network_named(config.network), chain.confirmations, chain.finality)


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked, number)
    return stop


async def _open(stack: AsyncExitStack, config: Config) -> Record:
    url = config.environment.database_url
    reader = open_reader(url)
    stack.push_async_callback(reader.dispose)
    async with reading(reader) as conn:
        await require_current(conn, config.network)
    assure = await stack.enter_async_context(sole_writer(url))
    writer = open_writer(url)
    stack.push_async_callback(writer.dispose)
    await transact(writer, tell_start, config)
    return Record(writer, reader, assure)


async def _live(
    write: Source, sources: list[Source], stop: asyncio.Event, environment: Environment
) -> None:
    """Follow until `stop` is set, then finish what was observed. The nesting is the order."""
    observations: asyncio.Queue[Observation] = asyncio.Queue(_QUEUE_SIZE)
    QUEUE_DEPTH.set_function(observations.qsize)
    async with asyncio.TaskGroup() as writing:
        recorder = writing.create_task(write(observations), name="record")
        async with asyncio.TaskGroup() as following:
            tasks = [following.create_task(source(observations)) for source in sources]
            notify(environment.notify_socket, "READY=1")
            await stop.wait()
            notify(environment.notify_socket, "STOPPING=1")
            for task in tasks:
                task.cancel()
        async with asyncio.timeout(_DRAIN_SECONDS):
            await observations.join()
        recorder.cancel()


async def _tick(observations: asyncio.Queue[Observation], assure: Assure) -> Never:
    """Have the record say that we are alive, and that it is ours to write."""
    while True:
        await assure()
        await observations.put(ClockTicked(now()))
        await asyncio.sleep(_TICK_SECONDS)


async def _reload(
    config: Config,
    relays: RelaySource,
    stores: StoreSource,
    writer: AsyncEngine,
    observations: asyncio.Queue[Observation],
) -> Never:
    """On SIGHUP, follow and group what the file names now; one with problems changes nothing."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    while True:
        await asked.wait()
        asked.clear()
        try:
            new = load_config(config.path)
            stores.replace(store_settings(new))
        except ConfigError as error:
            _log.error("not reloaded, all stays as it was", problems=error.problems)
            continue
        if (new.network, new.chain, new.proxy) != (config.network, config.chain, config.proxy):
            _log.warning("network, chain and proxy are read at start only: restart for these")
        new = replace(new, network=config.network, chain=config.chain, proxy=config.proxy)
        relays.replace(relay_settings(new))
        await transact(writer, tell_sources, new)
        await observations.put(campaigns_configured(new))
        _log.info("reloaded", relays=len(new.relays), stores=len(new.stores))


async def upgrade_record(config: Config) -> tuple[str | None, str]:
    """Create or migrate the record; its schema before and after.

    Raises:
        WrongRecord: it is of another network.
    """
    engine = open_writer(config.environment.database_url)
    try:
        return await upgrade(engine, config.network)
    finally:
        await engine.dispose()


async def rewind_record(config: Config, height: int) -> None:
    """Take back every block above `height`; reversals are booked, and histories are read anew.

    Raises:
        WrongRecord: a daemon writes to it, or it is of another network or schema.
    """
    async with AsyncExitStack() as stack:
        opened = await _open(stack, config)
        await transact(opened.writer, rewind, height, now(), _policy(config))


async def check_record(config: Config) -> list[str]:
    """Every figure of the record that does not equal the sum of its movements."""
    engine = open_reader(config.environment.database_url)
    try:
        async with reading(engine) as conn:
            await require_current(conn, config.network)
            return [str(difference) for difference in await differences(conn)]
    finally:
        await engine.dispose()
