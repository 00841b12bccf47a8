"""Sweeps run one at a time, and whoever waits for one is released in time."""

import asyncio
from dataclasses import replace

import pytest
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.fake_greenfield import (
    UNAUTHENTICATED,
    HeldRequests,
    forbidden,
    is_list,
)
from tests.rig.memory_store_record import FAST_TIMING, FollowedStore

from raised.domain.observation import (
    InvoicesSeen,
    RefundsSeen,
    Sweep,
    SweepReached,
)
from raised_simnet.http.http_server import Request, Response

DAY = 86_400


async def test_there_are_never_two_sweeps_of_a_store_at_once(store: FollowedStore) -> None:
    store.server.add_many(120)
    in_flight = [0]
    most: list[int] = []

    async def linger(request: Request) -> None:
        if is_list(request):
            in_flight[0] += 1
            most.append(in_flight[0])
            await asyncio.sleep(0.005)  # long enough for another sweep's request to arrive
            in_flight[0] -= 1

    store.server.before_answer = linger
    async with store.follow() as source:
        await store.until(lambda: store.record.published(InvoicesSeen))
        async with asyncio.TaskGroup() as tasks:
            kinds: tuple[Sweep, ...] = ("active", "recent", "late", "full", "active")
            for kind in kinds:
                tasks.create_task(source.sweep(kind))
    assert max(most) == 1
    assert len(most) > 5


async def test_a_short_sweep_does_not_wait_for_a_full_one(store: FollowedStore) -> None:
    store.timing = replace(FAST_TIMING, page_interval=3600)
    store.server.add_many(400, status="Settled")
    async with store.follow() as source:
        await store.until(lambda: store.record.published(SweepReached))
        await store.sweep(source, "active")
        assert not store.record.full_sweeps
    store.timing = FAST_TIMING
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
    assert len(store.record.invoices) == 400


async def test_the_full_sweep_of_a_large_store_pauses_after_a_month(store: FollowedStore) -> None:
    store.timing = replace(FAST_TIMING, month_interval=3600)
    for number in range(120):
        store.server.add(f"inv{number}", "Settled", at=store.now - number * DAY)
    store.record.swept = store.now - 100
    store.record.count_override = 20_001
    async with store.follow() as source:
        await store.sweeps_started()
        await store.sweep(source, "full")  # waits for one month only
        assert not store.record.full_sweeps
        checkpoint = store.record.published(SweepReached)[-1].end
        assert store.now - 80 * DAY < checkpoint <= store.now - 31 * DAY
        await store.sweep(source, "active")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (UNAUTHENTICATED, "unauthenticated"),
        (forbidden("btcpay.store.canviewinvoices"), "missing_permission"),
    ],
)
async def test_nobody_waits_for_a_sweep_of_a_store_that_refuses_the_key(
    store: FollowedStore, answer: Response, code: str
) -> None:
    store.timing = replace(FAST_TIMING, refused_retry=3600, check_interval=3600)
    refuse = [False]
    store.server.overrides.append(lambda _: answer if refuse[0] else None)
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        refuse[0] = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            await store.sweep(source, "active")
            await store.sweep(source, "full")
        await store.until(lambda: store.record.problem_code == code)
        requests = len(store.server.requests)
        store.record.deliver("InvoiceSettled", "abc")
        await store.inbox_read()
        assert len(store.server.requests) == requests, "nothing is asked any more"


async def test_a_cancelled_source_releases_whoever_waits_for_a_sweep(store: FollowedStore) -> None:
    store.server.add_many(3)
    held = HeldRequests(lambda request: "status=new" in request.target)
    store.server.before_answer = held
    ended: list[str] = []
    async with asyncio.TaskGroup() as tasks, store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))

        async def wait() -> None:
            await source.sweep("active")
            ended.append("active")

        waiting = tasks.create_task(wait())
        await store.until(held.arrived.is_set)
        store.tasks_of_test.add(waiting)
    held.release()
    assert ended == ["active"]
