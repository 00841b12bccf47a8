"""The named jobs: what is due by the calendar. Sweeps: docs/btcpay.md 12.4."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from raised.btcpay.source import StoreSource
from raised.clock import now
from raised.config.load import Retention
from raised.domain.observation import Observation, RetentionDue, Sweep
from raised.nostr.source import RelaySource

_DAY_SECONDS: Final = 86_400
_SWEEP_MINUTES: Final[dict[Sweep, int]] = {
    "active": 5,
    "recent": 15,
    "late": 6 * 60,
    "full": 24 * 60,
}


def schedule_jobs(
    stack: AsyncExitStack,
    retention: Retention,
    observations: asyncio.Queue[Observation],
    relays: RelaySource,
    stores: StoreSource,
) -> None:
    """Start the scheduler; it ends with `stack`."""
    # However late the loop gets to it, a job runs, and once for all the times it was missed.
    late = {"misfire_grace_time": None, "coalesce": True}
    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=late)
    # Jitter: all daemons of the world must not ask the same relay in the same minute.
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
    # At night, when few read the feed: large deletions make its readers wait.
    retain = partial(_request_retention, retention, observations)
    scheduler.add_job(retain, "cron", hour=3, minute=17, id="retention")
    scheduler.start()
    stack.callback(scheduler.shutdown, wait=False)


async def _request_retention(limits: Retention, observations: asyncio.Queue[Observation]) -> None:
    """Have the writer apply the retention limits: nobody else deletes facts."""
    at = now()
    due = RetentionDue(
        at=at,
        changes_before=at - limits.changes_days * _DAY_SECONDS,
        deliveries_before=at - limits.deliveries_days * _DAY_SECONDS,
        announced_max=limits.announced_max,
    )
    await observations.put(due)
