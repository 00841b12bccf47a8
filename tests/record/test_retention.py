"""Retention runs in the writer: nothing can be committed between what it reads and deletes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only
from tests.record.conftest import Founder, Ledger, World
from tests.rig.deadline import DEADLINE_SECONDS

from raised.db import schema
from raised.domain.observation import Observation, RetentionDue
from raised.record import write_observations

MEANWHILE_SECONDS = 0.5


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


def retention_due(world: World, announced_max: int = 0) -> RetentionDue:
    world.now += 1
    return RetentionDue(world.now, 0, 0, announced_max)


@asynccontextmanager
async def running_writer(ledger: Ledger) -> AsyncIterator[asyncio.Queue[Observation]]:
    queue: asyncio.Queue[Observation] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(write_observations(queue, ledger.engine, ledger.policy))
        yield queue
        writer.cancel()


@asynccontextmanager
async def before_projects_are_deleted(
    ledger: Ledger, hook: Callable[[], Any]
) -> AsyncIterator[None]:
    """Await `hook` before the statement that deletes projects, within its transaction."""

    def on_execute(_conn: Any, _cursor: Any, statement: str, *_others: object) -> None:
        if statement.startswith("DELETE FROM project "):
            await_only(hook())

    engine = ledger.engine.sync_engine
    event.listen(engine, "before_cursor_execute", on_execute)
    yield
    event.remove(engine, "before_cursor_execute", on_execute)


async def test_a_founding_that_comes_while_retention_runs_is_kept(
    ledger: Ledger, world: World, founder: Founder
) -> None:
    """Another connection would delete the project that is founded between its two statements."""
    await ledger.see(world.told(founder.event))
    founding = world.mine(founder.found())
    async with running_writer(ledger) as queue:

        async def found_meanwhile() -> None:
            queue.put_nowait(founding)
            with suppress(TimeoutError):
                async with asyncio.timeout(MEANWHILE_SECONDS):
                    await queue.join()

        async with before_projects_are_deleted(ledger, found_meanwhile):
            queue.put_nowait(retention_due(world))
            async with asyncio.timeout(DEADLINE_SECONDS):
                await queue.join()
    assert (await ledger.project(founder.project_id))["status"] == "confirmed"
    assert len(await ledger.rows(schema.founding)) == 1


async def test_a_project_that_one_batch_touches_and_drops_is_gone(
    ledger: Ledger, world: World, founder: Founder, other_founder: Founder
) -> None:
    await ledger.see(world.told(founder.event), world.told(other_founder.event))
    await ledger.see_at_once(
        [world.told(founder.event, relay="wss://two"), retention_due(world, announced_max=1)]
    )
    assert [row["id"] for row in await ledger.rows(schema.project)] == [other_founder.project_id]
    assert len(await ledger.rows(schema.event)) == 2
