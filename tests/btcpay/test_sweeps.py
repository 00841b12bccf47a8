"""Whatever webhooks do, the sweeps find it: complete, resumable, one at a time."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
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


def many(shop: FollowedStore, count: int, **changes: Any) -> list[str]:
    """Invoices an hour apart."""
    ids = [f"inv{number:04}" for number in range(count)]
    for number, invoice_id in enumerate(ids):
        shop.till.add(invoice_id, at=BORN - number * 3600, **changes)
    return ids


def fulls(shop: FollowedStore) -> list[SweepDone]:
    return [one for one in shop.ledger.of(SweepDone) if one.sweep == "full"]


def is_list(request: Request) -> bool:
    return request.path == f"{BELOW}/invoices" and request.query["take"] != ["1"]


async def test_a_first_start_reads_everything_there_is(shop: FollowedStore) -> None:
    ids = many(shop, 130, status="Settled")
    shop.till.add("archived", "Expired", at=BORN - 10**7, archived=True)
    async with shop.follow():
        await shop.until(lambda: fulls(shop))
    assert set(shop.ledger.invoices) == {*ids, "archived"}
    assert shop.ledger.invoices["archived"].archived
    assert fulls(shop)[0].since == 0
    reached = [one.end for one in shop.ledger.of(SweepReached)]
    assert reached == sorted(reached, reverse=True)
    assert len(reached) == 2
    assert {one.origin for one in shop.ledger.of(InvoicesSeen)} <= {"full", "recent"}


async def test_a_first_start_says_how_far_it_is(shop: FollowedStore) -> None:
    many(shop, 120, status="Settled")
    async with shop.follow() as stores:
        await shop.until(lambda: fulls(shop))
        told = [(one.done, one.total) for one in shop.ledger.of(Progress)]
        await stores.sweep("full")
        assert len(fulls(shop)) == 2
    assert {one.what for one in shop.ledger.of(Progress)} == {"btcpay shop"}
    assert all(done < total for done, total in told[:-1])
    assert told[-1] == (120 + len(told) - 1, 120 + len(told) - 1)  # pages overlap by a row
    assert len(shop.ledger.of(Progress)) == len(told), "only the first one is told of"


async def test_an_empty_store_has_been_read_at_once(shop: FollowedStore) -> None:
    async with shop.follow():
        await shop.until(lambda: shop.ledger.of(Progress) and shop.ledger.of(RefundsSeen))
    assert [(one.done, one.total) for one in shop.ledger.of(Progress)] == [(0, 0)]


async def test_a_whole_second_larger_than_a_page_is_read(shop: FollowedStore) -> None:
    """Rows of one second swap between two answers: counting them would miss some."""
    ids = {f"same{number:03}" for number in range(130)}
    for invoice_id in ids:
        shop.till.add(invoice_id, "Settled", at=BORN)
    shop.till.add("newer", "Settled", at=BORN + 1)
    shop.till.add("older", "Settled", at=BORN - 1)
    async with shop.follow():
        await shop.until(lambda: fulls(shop))
    assert set(shop.ledger.invoices) == {*ids, "newer", "older"}


async def test_rows_that_come_and_go_between_pages_hide_none(shop: FollowedStore) -> None:
    ids = many(shop, 150, status="Settled")
    pages = [0]

    def trick(request: Request) -> None:
        if not is_list(request):
            return
        pages[0] += 1
        shop.till.add(f"new{pages[0]}", at=BORN + pages[0])
        for number in range(5):  # unpaid ones of long ago are deleted, also those that were shown
            shop.till.invoices.pop(ids[(pages[0] - 1) * 10 + number], None)

    shop.till.tricks.append(trick)
    async with shop.follow():
        await shop.until(lambda: fulls(shop))
        kept = set(shop.till.invoices)
    assert kept <= {*shop.ledger.invoices, *(f"new{page}" for page in range(1, pages[0] + 1))}
    assert {one for one in kept if one.startswith("inv")} <= set(shop.ledger.invoices)


async def test_a_full_sweep_goes_on_where_a_kill_ended_it(shop: FollowedStore) -> None:
    ids = many(shop, 160, status="Settled")
    held = threading.Event()

    async def stuck(request: Request) -> None:
        if is_list(request) and shop.ledger.of(SweepReached):
            held.set()
            await asyncio.sleep(5)

    shop.till.before = stuck
    async with shop.follow():
        await shop.until(held.is_set)
    shop.till.before = None
    reached = shop.ledger.reached
    assert reached is not None
    assert not fulls(shop)
    before = len(shop.till.asked)
    shop.now += 500
    async with shop.follow():
        await shop.until(lambda: fulls(shop))
    again = [one for one in shop.till.asked[before:] if one.startswith("/invoices?")]
    assert not any("startDate" in one or "endDate" not in one for one in again[1:2])
    assert f"endDate={reached.end}" in again[1]  # the first one was the self-check
    assert fulls(shop)[0].began_at == shop.now - 500
    assert set(shop.ledger.invoices) == set(ids)


async def test_a_full_sweep_in_trouble_goes_on_when_it_is_over(shop: FollowedStore) -> None:
    ids = many(shop, 120, status="Settled")
    left = [12]

    def trick(request: Request) -> Response | None:
        if not is_list(request) or not shop.ledger.of(SweepReached) or not left[0]:
            return None
        left[0] -= 1
        return BROKEN

    shop.till.tricks.append(trick)
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == "busy")
        assert shop.ledger.health.state == "down"
        await shop.until(lambda: fulls(shop) and shop.ledger.health.state == "ok")
    assert set(shop.ledger.invoices) == set(ids)
    assert shop.till.count("/invoices?includeArchived=true&skip=0&take=50") == 1


async def test_a_new_full_sweep_does_not_go_on_with_one_that_has_ended(shop: FollowedStore) -> None:
    """The record may not have heard of its end yet."""
    ids = many(shop, 3, status="New")
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        shop.ledger.reached = SweepCheckpoint(1, BORN - 7200)
        many(shop, 3, status="Settled")
        await stores.sweep("full")
        assert {shop.ledger.invoices[one].status for one in ids} == {"Settled"}
        assert fulls(shop)[-1].began_at == shop.now


async def test_what_a_full_sweep_does_not_show_is_missing(shop: FollowedStore) -> None:
    many(shop, 3, status="Expired")
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        shop.now += 100
        del shop.till.invoices["inv0001"]
        await stores.sweep("full")
        assert shop.ledger.missing == {"inv0001"}


async def test_rows_that_cannot_be_read_are_not_called_missing(shop: FollowedStore) -> None:
    many(shop, 3, status="Settled")
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        shop.now += 100
        shop.till.invoices["inv0001"]["amount"] = {"not": "an amount"}
        await stores.sweep("full")
        assert not shop.ledger.missing
        await shop.until(lambda: shop.ledger.trouble == "bad_rows")
        assert shop.ledger.health.facts["bad_rows"] == 1
        shop.till.add("inv0001", "Settled")
        await stores.sweep("full")
        await stores.sweep("recent")
        await shop.until(lambda: shop.ledger.trouble is None)


async def test_what_a_killed_sweep_could_not_read_is_not_called_missing(
    shop: FollowedStore,
) -> None:
    many(shop, 120, status="Settled")
    async with shop.follow():
        await shop.until(lambda: fulls(shop) and shop.ledger.of(RefundsSeen))
    newest = max(shop.till.invoices, key=lambda one: shop.till.invoices[one]["createdTime"])
    shop.till.invoices[newest]["amount"] = {"not": "an amount"}
    shop.now += 100_000  # the next one is overdue
    held = threading.Event()

    async def stuck(request: Request) -> None:
        asks = request.query
        if is_list(request) and "endDate" in asks and "startDate" not in asks:
            held.set()
            await asyncio.sleep(5)

    shop.till.before = stuck
    async with shop.follow():
        await shop.until(held.is_set)
    shop.till.before = None
    async with shop.follow():
        await shop.until(lambda: len(fulls(shop)) == 2)
    assert shop.ledger.missing == set()


async def test_the_active_sweep_shows_open_ones_and_asks_for_those_that_left(
    shop: FollowedStore,
) -> None:
    for invoice_id in ("open", "settled", "expired", "deleted"):
        shop.till.add(invoice_id, at=BORN - 200 * DAY)
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        before = len(shop.ledger.told)
        shop.till.add("open", "Processing", at=BORN - 200 * DAY)
        shop.till.add("settled", "Settled", at=BORN - 200 * DAY)
        shop.till.add("expired", "Expired", at=BORN - 200 * DAY)
        del shop.till.invoices["deleted"]
        await stores.sweep("active")
        await shop.until(lambda: "deleted" in shop.ledger.missing)
    held = {one.id: one.status for one in shop.ledger.invoices.values()}
    assert held == {"open": "Processing", "settled": "Settled", "expired": "Expired"} | {
        "deleted": "New"
    }
    told = shop.ledger.told[before:]
    assert {one.origin for one in told if isinstance(one, InvoicesSeen)} == {"active"}
    assert shop.till.count("/invoices/open") == 0


async def test_the_recent_sweep_looks_back_as_long_as_terms_and_downtime_ask(
    shop: FollowedStore,
) -> None:
    shop.ledger.swept = shop.now - 10 * DAY  # so long we were away
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        await stores.sweep("recent")
    recent = [one for one in shop.ledger.of(SweepDone) if one.sweep == "recent"]
    assert recent[0].since == shop.now - 10 * DAY - 3600
    assert recent[1].since == shop.now - 3 * DAY
    asked = [one for one in shop.till.asked if "startDate" in one]
    assert f"startDate={recent[0].since}&" in asked[0]


async def test_the_late_sweep_finds_money_for_what_expired(shop: FollowedStore) -> None:
    at = shop.now - 5 * DAY
    shop.till.add("late", "Expired", at=at)
    shop.till.add("slow", "Settled", at=at - 100 * DAY)
    shop.till.pay("slow", payment(1, "Processing"))
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        shop.till.add("late", "Expired", at=at, additionalStatus="PaidLate")
        shop.till.pay("late", payment(2, "Settled"))
        shop.till.pay("slow", payment(1, "Settled"))
        await stores.sweep("late")
        await shop.until(lambda: shop.ledger.invoices["late"].additional_status == "PaidLate")
        await shop.until(lambda: "Settled" in shop.ledger.paid["slow"].values())


async def test_many_late_ones_are_found_in_a_list(shop: FollowedStore) -> None:
    for number in range(30):
        shop.till.add(f"late{number}", "Expired", at=shop.now - 5 * DAY - number)
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        before = len(shop.till.asked)
        shop.till.add("late7", "Expired", at=shop.now - 5 * DAY, additionalStatus="PaidPartial")
        await stores.sweep("late")
        await shop.until(lambda: shop.ledger.invoices["late7"].additional_status != "None")
    asked = [one for one in shop.till.asked[before:] if one.startswith("/invoices")]
    assert sum("status=expired" in one for one in asked) == 1
    assert not any(one.startswith("/invoices/late") for one in asked)


async def test_a_replaced_payment_is_found_by_a_sweep(shop: FollowedStore) -> None:
    shop.till.add("abc", "Processing")
    shop.till.pay("abc", payment(1, "Processing"))
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.paid["abc"])
        shop.till.add("abc", "New")  # no webhook tells this (btcpay.md 1)
        shop.till.pay("abc", payment(1, "Invalid"))
        await stores.sweep("active")
        await shop.until(lambda: "Invalid" in shop.ledger.paid["abc"].values())
    assert shop.till.count("/invoices/abc/payment-methods?onlyAccountedPayments=false") == 1
    assert shop.ledger.invoices["abc"].status == "New"


async def test_there_are_never_two_sweeps_of_a_store_at_once(shop: FollowedStore) -> None:
    many(shop, 120)
    inside = [0]

    async def slowly(request: Request) -> None:
        if is_list(request):
            inside[0] += 1
            most.append(inside[0])
            await asyncio.sleep(0.005)
            inside[0] -= 1

    most: list[int] = []
    shop.till.before = slowly
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(InvoicesSeen))
        async with asyncio.TaskGroup() as tasks:
            kinds: tuple[Sweep, ...] = ("active", "recent", "late", "full", "active")
            for kind in kinds:
                tasks.create_task(stores.sweep(kind))
    assert max(most) == 1
    assert len(most) > 5


async def test_a_short_sweep_does_not_wait_for_a_full_one(shop: FollowedStore) -> None:
    shop.pauses = replace(FAST_TIMING, page=0.05)
    many(shop, 400, status="Settled")
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(SweepReached))
        await stores.sweep("active")
        assert not fulls(shop)
        await shop.until(lambda: fulls(shop))
    assert len(shop.ledger.invoices) == 400


async def test_a_large_store_rests_after_a_month(shop: FollowedStore) -> None:
    shop.pauses = replace(FAST_TIMING, rest=30.0)
    for number in range(120):
        shop.till.add(f"inv{number}", "Settled", at=shop.now - number * DAY)
    shop.ledger.swept = shop.now - 100
    shop.ledger.pretended_count = 20_001
    async with shop.follow() as stores:
        await shop.begun()
        await stores.sweep("full")  # does not wait for the whole
        assert not fulls(shop)
        reached = shop.ledger.of(SweepReached)[-1].end
        assert shop.now - 80 * DAY < reached <= shop.now - 31 * DAY
        await stores.sweep("active")


async def test_what_crowdfund_apps_made_is_told(shop: FollowedStore) -> None:
    shop.changes = {"crowdfund_apps": ("app1", "app12")}
    page = {"orderUrl": "https://pay.example.org/apps/{}/crowdfund"}
    for number, app in enumerate(("app1", "app12", None)):
        shop.till.add(
            f"inv{number}",
            at=BORN + number * 10**6,
            metadata={} if app is None else {"orderUrl": page["orderUrl"].format(app)},
        )
    shop.till.apps = {"app1": {"inv0"}, "app12": {"inv1"}}
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        searches = shop.till.count("/invoices?startDate")
        await stores.sweep("active")
    assert shop.ledger.apps == {
        "inv0": frozenset({"app1"}),
        "inv1": frozenset({"app12"}),
        "inv2": frozenset(),
    }
    assert searches, "the search asks with a window"
    assert not [one for one in shop.till.asked[-3:] if "textSearch" in one], "asked once"


async def test_a_failing_search_for_apps_keeps_no_invoice_back(shop: FollowedStore) -> None:
    shop.changes = {"crowdfund_apps": ("app1",)}
    shop.till.add("abc", "Settled")
    refuse = [True]
    shop.till.tricks.append(
        lambda request: Response(400) if refuse[0] and "textSearch" in request.query else None
    )
    async with shop.follow() as stores:
        await shop.until(lambda: fulls(shop) and shop.ledger.trouble == "crowdfund")
        assert shop.ledger.invoices["abc"].status == "Settled"
        refuse[0] = False
        await stores.sweep("full")
        await shop.until(lambda: shop.ledger.trouble is None)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (UNAUTHENTICATED, "unauthenticated"),
        (forbidden("btcpay.store.canviewinvoices"), "missing_permission"),
    ],
)
async def test_nobody_waits_for_a_sweep_of_a_store_that_lets_nobody_in(
    shop: FollowedStore, answer: Response, code: str
) -> None:
    shop.pauses = replace(FAST_TIMING, locked_out=30.0, look=30.0)
    refuse = [False]
    shop.till.tricks.append(lambda _: answer if refuse[0] else None)
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        refuse[0] = True
        async with asyncio.timeout(5):
            await stores.sweep("active")
            await stores.sweep("full")
        await shop.until(lambda: shop.ledger.trouble == code)
        asked = len(shop.till.asked)
        shop.ledger.ring("InvoiceSettled", "abc")
        await asyncio.sleep(0.05)
        assert len(shop.till.asked) == asked, "polling has stopped"


async def test_a_cancelled_follower_lets_who_waits_go(shop: FollowedStore) -> None:
    many(shop, 3)
    held = threading.Event()

    async def stuck(request: Request) -> None:
        if "status=new" in request.target:
            held.set()
            await asyncio.sleep(5)

    shop.till.before = stuck
    ended: list[str] = []
    async with asyncio.TaskGroup() as tasks, shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))

        async def wait() -> None:
            await stores.sweep("active")
            ended.append("active")

        waiting = tasks.create_task(wait())
        await shop.until(held.is_set)
        shop.tasks_of_test.add(waiting)
    assert ended == ["active"]
