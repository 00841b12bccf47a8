"""Whatever webhooks do, the sweeps find it: complete, resumable, one at a time."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.fake_greenfield import BELOW, BORN, BROKEN, UNAUTHENTICATED, forbidden, payment
from tests.rig.memory_store_record import FAST_TIMING, FollowedStore

from raised.btcpay.ports import SweepCheckpoint
from raised.domain.observation import (
    InvoicesSeen,
    Progress,
    RefundsSeen,
    Sweep,
    SweepDone,
    SweepReached,
)
from raised_simnet.http.http_server import Request, Response

DAY = 86_400


def many(store: FollowedStore, count: int, **changes: Any) -> list[str]:
    """Invoices an hour apart."""
    ids = [f"inv{number:04}" for number in range(count)]
    for number, invoice_id in enumerate(ids):
        store.server.add(invoice_id, at=BORN - number * 3600, **changes)
    return ids


def fulls(store: FollowedStore) -> list[SweepDone]:
    return [one for one in store.record.published(SweepDone) if one.sweep == "full"]


def is_list(request: Request) -> bool:
    return request.path == f"{BELOW}/invoices" and request.query["take"] != ["1"]


async def test_a_first_start_reads_everything_there_is(store: FollowedStore) -> None:
    ids = many(store, 130, status="Settled")
    store.server.add("archived", "Expired", at=BORN - 10**7, archived=True)
    async with store.follow():
        await store.until(lambda: fulls(store))
    assert set(store.record.invoices) == {*ids, "archived"}
    assert store.record.invoices["archived"].archived
    assert fulls(store)[0].since == 0
    checkpoint = [one.end for one in store.record.published(SweepReached)]
    assert checkpoint == sorted(checkpoint, reverse=True)
    assert len(checkpoint) == 2
    assert {one.origin for one in store.record.published(InvoicesSeen)} <= {"full", "recent"}


async def test_a_first_start_says_how_far_it_is(store: FollowedStore) -> None:
    many(store, 120, status="Settled")
    async with store.follow() as stores:
        await store.until(lambda: fulls(store))
        observations = [(one.done, one.total) for one in store.record.published(Progress)]
        await stores.sweep("full")
        assert len(fulls(store)) == 2
    assert {one.what for one in store.record.published(Progress)} == {"btcpay shop"}
    assert all(done < total for done, total in observations[:-1])
    assert observations[-1] == (
        120 + len(observations) - 1,
        120 + len(observations) - 1,
    )  # pages overlap by a row
    assert len(store.record.published(Progress)) == len(observations), (
        "only the first one is told of"
    )


async def test_an_empty_store_has_been_read_at_once(store: FollowedStore) -> None:
    async with store.follow():
        await store.until(
            lambda: store.record.published(Progress) and store.record.published(RefundsSeen)
        )
    assert [(one.done, one.total) for one in store.record.published(Progress)] == [(0, 0)]


async def test_a_whole_second_larger_than_a_page_is_read(store: FollowedStore) -> None:
    """Rows of one second swap between two answers: counting them would miss some."""
    ids = {f"same{number:03}" for number in range(130)}
    for invoice_id in ids:
        store.server.add(invoice_id, "Settled", at=BORN)
    store.server.add("newer", "Settled", at=BORN + 1)
    store.server.add("older", "Settled", at=BORN - 1)
    async with store.follow():
        await store.until(lambda: fulls(store))
    assert set(store.record.invoices) == {*ids, "newer", "older"}


async def test_rows_that_come_and_go_between_pages_hide_none(store: FollowedStore) -> None:
    ids = many(store, 150, status="Settled")
    pages = [0]

    def trick(request: Request) -> None:
        if not is_list(request):
            return
        pages[0] += 1
        store.server.add(f"new{pages[0]}", at=BORN + pages[0])
        for number in range(5):  # unpaid ones of long ago are deleted, also those that were shown
            store.server.invoices.pop(ids[(pages[0] - 1) * 10 + number], None)

    store.server.overrides.append(trick)
    async with store.follow():
        await store.until(lambda: fulls(store))
        kept = set(store.server.invoices)
    assert kept <= {*store.record.invoices, *(f"new{page}" for page in range(1, pages[0] + 1))}
    assert {one for one in kept if one.startswith("inv")} <= set(store.record.invoices)


async def test_a_full_sweep_goes_on_where_a_kill_ended_it(store: FollowedStore) -> None:
    ids = many(store, 160, status="Settled")
    held = threading.Event()

    async def stuck(request: Request) -> None:
        if is_list(request) and store.record.published(SweepReached):
            held.set()
            await asyncio.sleep(5)

    store.server.before_answer = stuck
    async with store.follow():
        await store.until(held.is_set)
    store.server.before_answer = None
    checkpoint = store.record.checkpoint
    assert checkpoint is not None
    assert not fulls(store)
    requests_before = len(store.server.requests)
    store.now += 500
    async with store.follow():
        await store.until(lambda: fulls(store))
    again = [one for one in store.server.requests[requests_before:] if one.startswith("/invoices?")]
    assert not any("startDate" in one or "endDate" not in one for one in again[1:2])
    assert f"endDate={checkpoint.end}" in again[1]  # the first one was the self-check
    assert fulls(store)[0].began_at == store.now - 500
    assert set(store.record.invoices) == set(ids)


async def test_a_full_sweep_in_trouble_goes_on_when_it_is_over(store: FollowedStore) -> None:
    ids = many(store, 120, status="Settled")
    left = [12]

    def trick(request: Request) -> Response | None:
        if not is_list(request) or not store.record.published(SweepReached) or not left[0]:
            return None
        left[0] -= 1
        return BROKEN

    store.server.overrides.append(trick)
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "busy")
        assert store.record.health.state == "down"
        await store.until(lambda: fulls(store) and store.record.health.state == "ok")
    assert set(store.record.invoices) == set(ids)
    assert store.server.count("/invoices?includeArchived=true&skip=0&take=50") == 1


async def test_a_new_full_sweep_does_not_go_on_with_one_that_has_ended(
    store: FollowedStore,
) -> None:
    """The record may not have heard of its end yet."""
    ids = many(store, 3, status="New")
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.record.checkpoint = SweepCheckpoint(1, BORN - 7200)
        many(store, 3, status="Settled")
        await stores.sweep("full")
        assert {store.record.invoices[one].status for one in ids} == {"Settled"}
        assert fulls(store)[-1].began_at == store.now


async def test_what_a_full_sweep_does_not_show_is_missing(store: FollowedStore) -> None:
    many(store, 3, status="Expired")
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.now += 100
        del store.server.invoices["inv0001"]
        await stores.sweep("full")
        assert store.record.missing == {"inv0001"}


async def test_rows_that_cannot_be_read_are_not_called_missing(store: FollowedStore) -> None:
    many(store, 3, status="Settled")
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.now += 100
        store.server.invoices["inv0001"]["amount"] = {"not": "an amount"}
        await stores.sweep("full")
        assert not store.record.missing
        await store.until(lambda: store.record.problem_code == "bad_rows")
        assert store.record.health.facts["bad_rows"] == 1
        store.server.add("inv0001", "Settled")
        await stores.sweep("full")
        await stores.sweep("recent")
        await store.until(lambda: store.record.problem_code is None)


async def test_what_a_killed_sweep_could_not_read_is_not_called_missing(
    store: FollowedStore,
) -> None:
    many(store, 120, status="Settled")
    async with store.follow():
        await store.until(lambda: fulls(store) and store.record.published(RefundsSeen))
    newest = max(store.server.invoices, key=lambda one: store.server.invoices[one]["createdTime"])
    store.server.invoices[newest]["amount"] = {"not": "an amount"}
    store.now += 100_000  # the next one is overdue
    held = threading.Event()

    async def stuck(request: Request) -> None:
        asks = request.query
        if is_list(request) and "endDate" in asks and "startDate" not in asks:
            held.set()
            await asyncio.sleep(5)

    store.server.before_answer = stuck
    async with store.follow():
        await store.until(held.is_set)
    store.server.before_answer = None
    async with store.follow():
        await store.until(lambda: len(fulls(store)) == 2)
    assert store.record.missing == set()


async def test_the_active_sweep_shows_open_ones_and_asks_for_those_that_left(
    store: FollowedStore,
) -> None:
    for invoice_id in ("open", "settled", "expired", "deleted"):
        store.server.add(invoice_id, at=BORN - 200 * DAY)
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        requests_before = len(store.record.observations)
        store.server.add("open", "Processing", at=BORN - 200 * DAY)
        store.server.add("settled", "Settled", at=BORN - 200 * DAY)
        store.server.add("expired", "Expired", at=BORN - 200 * DAY)
        del store.server.invoices["deleted"]
        await stores.sweep("active")
        await store.until(lambda: "deleted" in store.record.missing)
    held = {one.id: one.status for one in store.record.invoices.values()}
    assert held == {"open": "Processing", "settled": "Settled", "expired": "Expired"} | {
        "deleted": "New"
    }
    observations = store.record.observations[requests_before:]
    assert {one.origin for one in observations if isinstance(one, InvoicesSeen)} == {"active"}
    assert store.server.count("/invoices/open") == 0


async def test_the_recent_sweep_looks_back_as_long_as_terms_and_downtime_ask(
    store: FollowedStore,
) -> None:
    store.record.swept = store.now - 10 * DAY  # so long we were away
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        await stores.sweep("recent")
    recent = [one for one in store.record.published(SweepDone) if one.sweep == "recent"]
    assert recent[0].since == store.now - 10 * DAY - 3600
    assert recent[1].since == store.now - 3 * DAY
    requests = [one for one in store.server.requests if "startDate" in one]
    assert f"startDate={recent[0].since}&" in requests[0]


async def test_the_late_sweep_finds_money_for_what_expired(store: FollowedStore) -> None:
    at = store.now - 5 * DAY
    store.server.add("late", "Expired", at=at)
    store.server.add("slow", "Settled", at=at - 100 * DAY)
    store.server.pay("slow", payment(1, "Processing"))
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        store.server.add("late", "Expired", at=at, additionalStatus="PaidLate")
        store.server.pay("late", payment(2, "Settled"))
        store.server.pay("slow", payment(1, "Settled"))
        await stores.sweep("late")
        await store.until(lambda: store.record.invoices["late"].additional_status == "PaidLate")
        await store.until(lambda: "Settled" in store.record.payments["slow"].values())


async def test_many_late_ones_are_found_in_a_list(store: FollowedStore) -> None:
    for number in range(30):
        store.server.add(f"late{number}", "Expired", at=store.now - 5 * DAY - number)
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        requests_before = len(store.server.requests)
        store.server.add("late7", "Expired", at=store.now - 5 * DAY, additionalStatus="PaidPartial")
        await stores.sweep("late")
        await store.until(lambda: store.record.invoices["late7"].additional_status != "None")
    requests = [
        one for one in store.server.requests[requests_before:] if one.startswith("/invoices")
    ]
    assert sum("status=expired" in one for one in requests) == 1
    assert not any(one.startswith("/invoices/late") for one in requests)


async def test_a_replaced_payment_is_found_by_a_sweep(store: FollowedStore) -> None:
    store.server.add("abc", "Processing")
    store.server.pay("abc", payment(1, "Processing"))
    async with store.follow() as stores:
        await store.until(lambda: store.record.payments["abc"])
        store.server.add("abc", "New")  # no webhook tells this (docs/btcpay.md 1)
        store.server.pay("abc", payment(1, "Invalid"))
        await stores.sweep("active")
        await store.until(lambda: "Invalid" in store.record.payments["abc"].values())
    assert store.server.count("/invoices/abc/payment-methods?onlyAccountedPayments=false") == 1
    assert store.record.invoices["abc"].status == "New"


async def test_there_are_never_two_sweeps_of_a_store_at_once(store: FollowedStore) -> None:
    many(store, 120)
    inside = [0]

    async def slowly(request: Request) -> None:
        if is_list(request):
            inside[0] += 1
            most.append(inside[0])
            await asyncio.sleep(0.005)
            inside[0] -= 1

    most: list[int] = []
    store.server.before_answer = slowly
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(InvoicesSeen))
        async with asyncio.TaskGroup() as tasks:
            kinds: tuple[Sweep, ...] = ("active", "recent", "late", "full", "active")
            for kind in kinds:
                tasks.create_task(stores.sweep(kind))
    assert max(most) == 1
    assert len(most) > 5


async def test_a_short_sweep_does_not_wait_for_a_full_one(store: FollowedStore) -> None:
    store.timing = replace(FAST_TIMING, page_interval=0.05)
    many(store, 400, status="Settled")
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(SweepReached))
        await stores.sweep("active")
        assert not fulls(store)
        await store.until(lambda: fulls(store))
    assert len(store.record.invoices) == 400


async def test_a_large_store_rests_after_a_month(store: FollowedStore) -> None:
    store.timing = replace(FAST_TIMING, month_interval=30.0)
    for number in range(120):
        store.server.add(f"inv{number}", "Settled", at=store.now - number * DAY)
    store.record.swept = store.now - 100
    store.record.count_override = 20_001
    async with store.follow() as stores:
        await store.sweeps_started()
        await stores.sweep("full")  # does not wait for the whole
        assert not fulls(store)
        checkpoint = store.record.published(SweepReached)[-1].end
        assert store.now - 80 * DAY < checkpoint <= store.now - 31 * DAY
        await stores.sweep("active")


async def test_what_crowdfund_apps_made_is_told(store: FollowedStore) -> None:
    store.changes = {"crowdfund_apps": ("app1", "app12")}
    page = {"orderUrl": "https://pay.example.org/apps/{}/crowdfund"}
    for number, app in enumerate(("app1", "app12", None)):
        store.server.add(
            f"inv{number}",
            at=BORN + number * 10**6,
            metadata={} if app is None else {"orderUrl": page["orderUrl"].format(app)},
        )
    store.server.apps = {"app1": {"inv0"}, "app12": {"inv1"}}
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        searches = store.server.count("/invoices?startDate")
        await stores.sweep("active")
    assert store.record.apps == {
        "inv0": frozenset({"app1"}),
        "inv1": frozenset({"app12"}),
        "inv2": frozenset(),
    }
    assert searches, "the search asks with a window"
    assert not [one for one in store.server.requests[-3:] if "textSearch" in one], "asked once"


async def test_a_failing_search_for_apps_keeps_no_invoice_back(store: FollowedStore) -> None:
    store.changes = {"crowdfund_apps": ("app1",)}
    store.server.add("abc", "Settled")
    refuse = [True]
    store.server.overrides.append(
        lambda request: Response(400) if refuse[0] and "textSearch" in request.query else None
    )
    async with store.follow() as stores:
        await store.until(lambda: fulls(store) and store.record.problem_code == "crowdfund")
        assert store.record.invoices["abc"].status == "Settled"
        refuse[0] = False
        await stores.sweep("full")
        await store.until(lambda: store.record.problem_code is None)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (UNAUTHENTICATED, "unauthenticated"),
        (forbidden("btcpay.store.canviewinvoices"), "missing_permission"),
    ],
)
async def test_nobody_waits_for_a_sweep_of_a_store_that_lets_nobody_in(
    store: FollowedStore, answer: Response, code: str
) -> None:
    store.timing = replace(FAST_TIMING, refused_retry=30.0, check_interval=30.0)
    refuse = [False]
    store.server.overrides.append(lambda _: answer if refuse[0] else None)
    async with store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))
        refuse[0] = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            await stores.sweep("active")
            await stores.sweep("full")
        await store.until(lambda: store.record.problem_code == code)
        requests = len(store.server.requests)
        store.record.deliver("InvoiceSettled", "abc")
        await asyncio.sleep(0.05)
        assert len(store.server.requests) == requests, "polling has stopped"


async def test_a_cancelled_follower_lets_who_waits_go(store: FollowedStore) -> None:
    many(store, 3)
    held = threading.Event()

    async def stuck(request: Request) -> None:
        if "status=new" in request.target:
            held.set()
            await asyncio.sleep(5)

    store.server.before_answer = stuck
    ended: list[str] = []
    async with asyncio.TaskGroup() as tasks, store.follow() as stores:
        await store.until(lambda: store.record.published(RefundsSeen))

        async def wait() -> None:
            await stores.sweep("active")
            ended.append("active")

        waiting = tasks.create_task(wait())
        await store.until(held.is_set)
        store.tasks_of_test.add(waiting)
    assert ended == ["active"]
