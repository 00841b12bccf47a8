"""Retention limits: what may go, in the transaction of the one writer.

A second connection could read which projects nothing founds, and delete one whose founding
transaction was committed in between, with everything that references it.
"""

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from raised.db.facts.retention import drop_announced, drop_old_changes, drop_old_deliveries
from raised.domain.observation import RetentionDue
from raised.record.dirty_set import DirtySet

_log = structlog.get_logger()


async def apply_retention(conn: AsyncConnection, due: RetentionDue, dirty: DirtySet) -> None:
    """Drop what is older or more than the limits allow."""
    changes = await drop_old_changes(conn, due.changes_before)
    deliveries = await drop_old_deliveries(conn, due.deliveries_before)
    projects = await drop_announced(conn, due.announced_max)
    # Earlier observations of this batch may have touched them; there is nothing left to decide.
    dirty.projects -= projects
    dirty.profile_changed -= projects
    _log.info(
        "retention limits applied",
        changes=changes,
        deliveries=deliveries,
        announced_projects=len(projects),
    )
