"""One store: its inbox, its sweeps, its checks and its health, each in a task of its own."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final, Never

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.crowdfund_apps import CrowdfundApps
from raised.btcpay.health import CHECK, LOCKED_OUT, StoreHealth
from raised.btcpay.inbox import InboxWorker
from raised.btcpay.oddities import Oddities
from raised.btcpay.ports import StoreRecord
from raised.btcpay.publisher import InvoicePublisher, StoreContext
from raised.btcpay.refunds import RefundFetcher
from raised.btcpay.scheduler import SweepScheduler
from raised.btcpay.set_aside import InvoicesSetAside
from raised.btcpay.settings import StoreSettings, StoreTiming
from raised.btcpay.sweeps import SweepRunner
from raised.btcpay.uncounted_methods import UncountedMethods
from raised.btcpay.webhook import check_webhook
from raised.domain.observation import Observation, Sweep
from raised.errors import SourceError
from raised.net.backoff import Backoff
from raised.net.set_aside import SetAside

_ALL_SWEEPS: Final[tuple[Sweep, ...]] = ("recent", "active", "late", "full")

_FIRST_SAFE_VERSION: Final = (2, 4, 2)  # before, LND credentials can be stolen
_LARGEST_SKEW_SECONDS: Final = 60  # docs/btcpay.md 9.3
_WEBHOOK_POLICY: Final = "btcpay.store.webhooks.canmodifywebhooks"
_IMPLYING_POLICIES: Final = ("unrestricted", "btcpay.store.canmodifystoresettings")
_NUMBER: Final = re.compile(r"[0-9]{1,6}")

_SERVER_INFO: Final = "what the server says of itself"
_NOT_SYNCHRONIZED: Final = "its node has not all blocks yet: on-chain payments are late"
_OLD_VERSION: Final = "runs version {}: before 2.4.2 Lightning credentials can be stolen, upgrade"
_CLOCK_SKEW: Final = (
    "its clock and ours are {} s apart: set the wrong one right, time windows depend on them"
)


class Store:
    """`follow` runs it; the other methods may be called at any time."""

    def __init__(
        self,
        settings: StoreSettings,
        server: Greenfield,
        record: StoreRecord,
        outbox: asyncio.Queue[Observation],
        *,
        clock: Callable[[], int],
        timing: StoreTiming,
    ) -> None:
        label = settings.label
        health = StoreHealth(
            label, lambda: server.stats, clock, expects_events=settings.expects_events
        )
        self._settings = settings
        self._timing = timing
        self._refresh_requested = asyncio.Event()
        self._context = StoreContext(
            label=label,
            server=server,
            record=record,
            health=health,
            set_aside=InvoicesSetAside(health, timing),
            oddities=Oddities(health, clock),
            uncounted=UncountedMethods(health, settings.bitcoin_methods),
            outbox=outbox,
            clock=clock,
        )
        apps = CrowdfundApps(
            settings.crowdfund_apps,
            server,
            SetAside(health.tracker, timing.first_retry, timing.longest_retry, is_private=True),
        )
        publisher = InvoicePublisher(self._context, apps, timing)
        refunds = RefundFetcher(self._context)
        self._inbox = InboxWorker(self._context, publisher, refunds, timing)
        self._sweeps = SweepRunner(self._context, publisher, refunds, timing)
        self._scheduler = SweepScheduler(self._context, self._sweeps, timing)

    async def follow(self) -> Never:
        """Observe this store, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._inbox.follow())
            tasks.create_task(self._scheduler.follow())
            tasks.create_task(self._report_health())
            await self._check_repeatedly()
        raise AssertionError("a task group that was never left without an exception")

    def wake(self) -> None:
        """Read the inbox again."""
        self._inbox.wake()

    def refresh(self) -> None:
        """Run the check and all sweeps now, also if the key was refused: it may be valid again."""
        self._refresh_requested.set()
        for kind in _ALL_SWEEPS:
            self._scheduler.request(kind)

    async def sweep(self, kind: Sweep) -> None:
        """Run this sweep and wait for its end."""
        await self._scheduler.sweep(kind)

    async def close(self) -> None:
        """Close the connections."""
        await self._context.server.close()

    async def _check_repeatedly(self) -> Never:
        """Check every few minutes whether the server is as it should be and accepts the key."""
        backoff = Backoff(self._timing.first_retry, self._timing.longest_retry)
        time = asyncio.get_running_loop().time
        while True:
            self._refresh_requested.clear()
            wait = self._timing.check_interval
            try:
                await check_store(self._context, self._settings)
                backoff.on_success()
            except SourceError as error:
                self._context.health.request_failed(error, CHECK)
                backoff.on_failure()
                # An operator has to act first; trying sooner would only fill the server's log.
                refused = error.code in LOCKED_OUT
                wait = self._timing.refused_retry if refused else backoff.due_at - time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._refresh_requested.wait()

    async def _report_health(self) -> Never:
        """Report another condition at once, and changed figures every `health_interval`."""
        health = self._context.health
        moved = False
        while True:
            report = health.due_report(moved=moved)
            if report is not None:
                await self._context.outbox.put(report)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.health_interval):
                    await health.changed.wait()
            moved = not health.changed.is_set()
            health.changed.clear()


async def check_store(context: StoreContext, settings: StoreSettings) -> None:
    """Try what following a store needs; its health says how that went.

    Raises SourceError: not now, or not with this key or address. Source: docs/btcpay.md 2.3.
    """
    health, server = context.health, context.server
    await server.check_access()
    health.accept_key()
    context.uncounted.replace(await context.record.uncounted_methods(context.label))
    await _check_server(context)
    skew = abs(server.skew_seconds or 0)
    skewed = skew > _LARGEST_SKEW_SECONDS
    health.set_warning("clock_skew", _CLOCK_SKEW.format(skew) if skewed else None)
    if settings.expects_events:
        await _check_webhook(context, settings)


async def _check_server(context: StoreContext) -> None:
    """What the server says of itself; invoices are followed whatever that is."""
    health, server = context.health, context.server
    try:
        await server.is_synchronized()  # needs no key, and brings the time
        info = await server.server()
    except SourceError as error:
        health.list_failed(_SERVER_INFO, error)
        return
    health.list_read(_SERVER_INFO)
    health.version = info.version
    health.set_problem("not_synchronized", None if info.synchronized else _NOT_SYNCHRONIZED)
    outdated = is_outdated(info.version)
    health.set_warning("old_version", _OLD_VERSION.format(info.version) if outdated else None)


async def _check_webhook(context: StoreContext, settings: StoreSettings) -> None:
    """What the server says of its webhook, if the key may ask. Without it following goes on."""
    health = context.health
    try:
        if not allows(await context.server.permissions(), _WEBHOOK_POLICY, settings.store_id):
            return
        report = await check_webhook(context.server, settings, context.clock())
    except SourceError as error:
        health.set_problem("webhook", f"its webhook could not be checked: it {error.detail}")
        return
    health.webhook = report.state
    health.set_problem("webhook", report.problem)


def allows(permissions: AbstractSet[str], policy: str, store_id: str) -> bool:
    """Whether a key with these permissions has this policy for a store."""
    return any(
        name in permissions or f"{name}:{store_id}" in permissions
        for name in (policy, *_IMPLYING_POLICIES)
    )


def is_outdated(version: str) -> bool:
    """Whether a server of this version has a known vulnerability."""
    release = re.split(r"[+-]", version)[0]
    numbers = tuple(int(number) for number in _NUMBER.findall(release)[:3])
    return numbers < _FIRST_SAFE_VERSION
