"""A key that is refused at one question, and accepted at all others, stops nothing else."""

from dataclasses import replace

import pytest
from tests.rig.fake_greenfield import BELOW, UNAUTHENTICATED
from tests.rig.memory_store_record import FAST_TIMING, FollowedStore
from tests.rig.spoilt_store import problems_of, settle, spoil_invoices, spoil_pages, subjects

from raised.domain.observation import RefundsSeen, SourceHealth


@pytest.fixture(autouse=True)
def patient(store: FollowedStore) -> None:
    """A store that is taken for one that refuses the key is not asked again in these tests."""
    store.timing = replace(FAST_TIMING, refused_retry=3600, check_interval=3600)


def states(store: FollowedStore) -> set[str]:
    """All states that were reported."""
    return {health.state for health in store.record.published(SourceHealth)}


@pytest.mark.parametrize(
    ("path", "named"),
    [("payouts", "the list of payouts"), ("pull-payments", "the list of pull payments")],
)
async def test_a_list_of_refunds_that_refuses_the_key_delays_no_sweep(
    store: FollowedStore, path: str, named: str
) -> None:
    refuses = [True]
    store.server.overrides.append(
        lambda request: (
            UNAUTHENTICATED if refuses[0] and request.path == f"{BELOW}/{path}" else None
        )
    )
    ids = settle(store, 60)
    async with store.follow() as source:
        await store.until(lambda: store.record.full_sweeps and subjects(store) == {named})
        for kind in ("recent", "active", "late", "full"):
            await store.sweep(source, kind)
        row = store.record.deliver("InvoiceSettled", ids[0])
        await store.until(lambda: row in store.record.results)
        assert {problem.code for problem in problems_of(store)} == {"unauthenticated"}
        assert states(store) <= {"ok", "degraded"}
        refuses[0] = False
        await store.until(lambda: store.record.published(RefundsSeen))
        await store.until(lambda: store.record.health.state == "ok")


async def test_an_invoice_that_refuses_the_key_is_named_and_delays_no_other(
    store: FollowedStore,
) -> None:
    ids = settle(store, 60)
    odd = {"inv0023"}
    spoil_pages(store, odd, UNAUTHENTICATED)
    spoil_invoices(store, odd, UNAUTHENTICATED)
    bad = store.record.deliver("InvoiceSettled", "inv0023")
    good = store.record.deliver("InvoiceSettled", "inv0024")
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps and subjects(store) == odd)
        await store.until(lambda: good in store.record.results)
        assert bad not in store.record.results
        assert set(store.record.invoices) == set(ids)
        assert {key for key, paid in store.record.payments.items() if paid} == set(ids) - odd
        assert states(store) <= {"ok", "degraded"}
        odd.clear()
        await store.until(lambda: bad in store.record.results)
        await store.until(lambda: store.record.health.state == "ok")


async def test_payments_that_refuse_the_key_cost_no_other_invoice(store: FollowedStore) -> None:
    """Lists without payments, as servers before 2.3.6 send them."""
    ids = settle(store, 60)
    odd = {"inv0023"}
    spoil_pages(store, set(ids))
    spoil_invoices(store, odd, UNAUTHENTICATED)
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps and subjects(store) == odd)
        assert {key for key, paid in store.record.payments.items() if paid} == set(ids) - odd
        assert states(store) <= {"ok", "degraded"}


async def test_a_search_for_apps_that_refuses_the_key_delays_no_invoice(
    store: FollowedStore,
) -> None:
    store.changes = {"crowdfund_apps": ("app1",)}
    settle(store, 60)
    store.server.overrides.append(
        lambda request: UNAUTHENTICATED if "textSearch" in request.query else None
    )
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
        await store.until(lambda: store.record.published(RefundsSeen))
        await store.until(lambda: store.record.problem_code == "crowdfund")
        assert len(store.record.payments) == 60
        assert states(store) <= {"ok", "degraded"}
