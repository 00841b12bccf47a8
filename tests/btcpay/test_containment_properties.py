"""Whatever subset of invoices, pages and routes misbehaves, and whenever it heals: everything else
is counted, what is odd is named, requests stay few, and after healing the record has everything.
"""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rig.fake_greenfield import FakeGreenfield, payment
from tests.rig.greenfield_in_process import URL, Fault, Faults, GreenfieldInProcess, Reach
from tests.rig.memory_store_record import MemoryStoreRecord
from tests.rig.simulated_time import run_in_simulated_time

from raised.btcpay.settings import StoreSettings, StoreTiming
from raised.btcpay.source import StoreSource
from raised.domain.observation import Observation, Sweep

NOW = 1_773_000_000
MOST_INVOICES = 14
TEN_MINUTES = 600
TIMING = StoreTiming(inbox_poll=20.0, page_interval=1.0)
ROUTES = ("payouts", "pull-payments", "", "server/info", "health")
REACHES = [
    frozenset(reach)
    for reach in ({"inline"}, {"inline", "alone"}, {"alone"}, {"inline", "pages"},
                  {"inline", "pages", "alone"})
]  # fmt: skip
FAULTS: list[Any] = list(get_args(Fault))
OF_ROUTES: list[Any] = [fault for fault in FAULTS if fault != "misshapen"]
Odd = dict[int, tuple[Fault, frozenset[Reach]]]

odd_invoices = st.dictionaries(
    st.integers(0, MOST_INVOICES - 1),
    st.tuples(st.sampled_from(FAULTS), st.sampled_from(REACHES)),
    max_size=6,
)
odd_routes = st.dictionaries(st.sampled_from(ROUTES), st.sampled_from(OF_ROUTES), max_size=2)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGreenfield]:
    fake = FakeGreenfield()
    fake.start()  # never asked over its socket
    yield fake
    fake.stop()


def fill(server: FakeGreenfield, count: int, spacing: int) -> list[str]:
    """So many paid invoices, so many seconds apart, newest first."""
    server.invoices.clear()
    server.payments.clear()
    ids = [f"inv{number:04}" for number in range(count)]
    for number, invoice_id in enumerate(ids):
        server.add(invoice_id, "Settled", at=NOW - 10_000 - number * spacing)
        server.pay(invoice_id, payment(number + 1))
    return ids


class Following:
    """A record that follows the server in simulated time."""

    def __init__(self, transport: GreenfieldInProcess) -> None:
        self.transport = transport
        self.record = MemoryStoreRecord()
        self.source = StoreSource(
            [StoreSettings("shop", URL, "EqevX4KsotQEFnRhVshPqdP5mtzjXiiV4fEFogKmuEbB", "key")],
            self.record,
            clock=lambda: NOW + int(asyncio.get_running_loop().time()),
            transport=transport,
            timing=TIMING,
        )

    @asynccontextmanager
    async def follow(self) -> Any:
        outbox = asyncio.Queue[Observation]()
        tasks = [
            asyncio.create_task(self.source.follow(outbox)),
            asyncio.create_task(self._commit(outbox)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.source.close()

    async def _commit(self, outbox: asyncio.Queue[Observation]) -> None:
        while True:
            self.record.commit(await outbox.get())
            self.source.wake()

    async def sweep(self, *kinds: Sweep) -> None:
        for kind in kinds:
            await self.source.sweep(kind)
            await asyncio.sleep(1)

    @property
    def paid(self) -> set[str]:
        return {
            key for key, payments in self.record.payments.items() if "Settled" in payments.values()
        }

    @property
    def named(self) -> set[str]:
        return {problem.subject for problem in self.record.health.problems}


def lost(fault: tuple[Fault, frozenset[Reach]]) -> bool:
    """Whether such a fault keeps an invoice's payments from being had by any means."""
    kind, reaches = fault
    if kind == "misshapen":
        return "alone" in reaches
    return "pages" in reaches or {"inline", "alone"} <= reaches


def nameless(fault: tuple[Fault, frozenset[Reach]]) -> bool:
    """Whether nothing says which invoice it is."""
    return "pages" in fault[1] and fault[0] != "misshapen"


async def misbehave_and_heal(
    server: FakeGreenfield, count: int, spacing: int, odd: Odd, routes: dict[str, Fault]
) -> None:
    ids = fill(server, count, spacing)
    faults = {ids[number]: fault for number, fault in odd.items() if number < count}
    if not spacing:  # rows of one second have no order: what cannot be shown there leaves no trace
        faults = {key: fault for key, fault in faults.items() if not nameless(fault)}
    transport = GreenfieldInProcess(server, Faults(dict(faults), dict(routes)))
    following = Following(transport)
    unread = {key for key, fault in faults.items() if lost(fault)}
    # Rows of one second are asked for one by one where one of them spoils its page.
    crowded = {key for key, (_, reaches) in faults.items() if spacing < 2 and "alone" in reaches}
    unnamed = {key for key in unread if nameless(faults[key])}
    async with following.follow():
        # Each answer that does not come is waited for, so that a sweep takes long.
        slow = sum(fault == "slow" for fault, _ in faults.values())
        await asyncio.sleep(TEN_MINUTES * (1 + 2 * slow))
        assert set(ids) - unread - crowded <= following.paid
        assert unread - unnamed <= following.named
        assert not unnamed or following.record.health.state != "ok"
        assert not following.record.missing
        # A full sweep and the recent one after it, again after a while where something is unnamed.
        requests = len(transport.times)
        assert requests <= 60 + 60 * len(faults) + 100 * len(unnamed) + 12 * len(routes) + 60 * slow
        transport.faults.invoices.clear()
        transport.faults.routes.clear()
        await asyncio.sleep(TEN_MINUTES)
        await following.sweep("recent", "active", "late", "full", "recent")
        await asyncio.sleep(TEN_MINUTES)
        assert set(ids) == following.paid == set(following.record.invoices)
        assert following.record.health.state == "ok", following.record.health
        assert not following.record.missing


@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, MOST_INVOICES), st.sampled_from([0, 1, 3600]), odd_invoices, odd_routes)
def test_whatever_misbehaves_the_rest_is_counted_and_all_of_it_after_healing(
    server: FakeGreenfield, count: int, spacing: int, odd: Odd, routes: dict[str, Fault]
) -> None:
    run_in_simulated_time(misbehave_and_heal(server, count, spacing, odd, routes))


@pytest.mark.parametrize("fault", OF_ROUTES)
@pytest.mark.parametrize("route", ["invoices", *ROUTES])
def test_ten_minutes_of_a_fault_cost_a_few_dozen_requests(
    server: FakeGreenfield, route: str, fault: Fault
) -> None:
    async def count_requests() -> int:
        fill(server, MOST_INVOICES, 3600)
        transport = GreenfieldInProcess(server, Faults(routes={route: fault}))
        async with Following(transport).follow():
            await asyncio.sleep(2 * TEN_MINUTES)
        return sum(at >= TEN_MINUTES for at in transport.times)

    assert run_in_simulated_time(count_requests()) <= 48
