"""The named jobs: what is due by the calendar. Source: design.md 6, btcpay.md 12.4."""

from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.ext.asyncio import AsyncEngine

from raised.btcpay.source import StoreSource
from raised.clock import now
from raised.config.load import Retention
from raised.db.engine import transact
from raised.db.facts.retention import drop_announced, drop_old_changes, drop_old_deliveries
from raised.domain.observation import Sweep
from raised.nostr.source import RelaySource

_DAY_SECONDS: Final = 86_400
_SWEEP_MINUTES: Final[dict[Sweep, int]] = {
    "active": 5,
    "recent": 15,
    "late": 6 * 60,
    "full": 24 * 60,
}

_log = structlog.get_logger()


def schedule(
    stack: AsyncExitStack,
    retention: Retention,
    writer: AsyncEngine,
    relays: RelaySource,
    stores: StoreSource,
) -> None:
    """Start the scheduler; it ends with `stack`."""
    # However late the loop comes to it, a job is done, and once.
    late = {"misfire_grace_time": None, "coalesce": True}
    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=late)
    scheduler.add_job(
        relays.request_full_backfill, "interval", days=1, id="relay re-ask", jitter=3600
    )
    for sweep, minutes in _SWEEP_MINUTES.items():
        scheduler.add_job(
            partial(stores.sweep, sweep),
            "interval",
            minutes=minutes,
            id=f"btcpay {sweep}",
            jitter=minutes * 6,  # a tenth, in seconds
        )
    forget = partial(_retention, retention, writer)
    scheduler.add_job(forget, "cron", hour=3, minute=17, id="retention")
    scheduler.start()
    stack.callback(scheduler.shutdown, wait=False)


async def _retention(retention: Retention, writer: AsyncEngine) -> None:
    """Forget what is not kept for ever."""
    today = now()
    changes = await transact(
        writer, drop_old_changes, today - retention.changes_days * _DAY_SECONDS
    )
    deliveries = await transact(
        writer, drop_old_deliveries, today - retention.deliveries_days * _DAY_SECONDS
    )
    projects = await transact(writer, drop_announced, retention.announced_max)
    _log.info("retention", changes=changes, deliveries=deliveries, announced_projects=projects)
