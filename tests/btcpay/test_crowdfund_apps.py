"""A search tells which crowdfund app made an invoice."""

import asyncio

import pytest
from tests.rig.fake_greenfield import BORN
from tests.rig.memory_store_record import FollowedStore
from tests.rig.spoilt_store import problems_of, settle, spoil_pages

from raised.domain.observation import RefundsSeen
from raised_simnet.http.http_server import Response


async def test_the_invoices_of_crowdfund_apps_name_their_app(store: FollowedStore) -> None:
    store.changes = {"crowdfund_apps": ("app1", "app12")}
    page = {"orderUrl": "https://pay.example.org/apps/{}/crowdfund"}
    for number, app in enumerate(("app1", "app12", None)):
        store.server.add(
            f"inv{number}",
            at=BORN + number * 10**6,
            metadata={} if app is None else {"orderUrl": page["orderUrl"].format(app)},
        )
    store.server.apps = {"app1": {"inv0"}, "app12": {"inv1"}}
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        searches = store.server.count("/invoices?startDate")
        await store.sweep(source, "active")
    assert store.record.apps == {
        "inv0": frozenset({"app1"}),
        "inv1": frozenset({"app12"}),
        "inv2": frozenset(),
    }
    assert searches, "the search asks with a window"
    assert not [request for request in store.server.requests[-3:] if "textSearch" in request], (
        "searched once"
    )


async def test_a_failing_search_for_apps_delays_no_invoice(store: FollowedStore) -> None:
    store.changes = {"crowdfund_apps": ("app1",)}
    store.server.add("abc", "Settled")
    refuse = [True]
    store.server.overrides.append(
        lambda request: Response(400) if refuse[0] and "textSearch" in request.query else None
    )
    async with store.follow() as source:
        await store.until(
            lambda: store.record.full_sweeps and store.record.problem_code == "crowdfund"
        )
        assert store.record.invoices["abc"].status == "Settled"
        refuse[0] = False
        await store.sweep(source, "full")
        await store.until(lambda: store.record.problem_code is None)


def crowdfunded(store: FollowedStore, count: int) -> list[str]:
    """So many settled invoices of app1, an hour apart; their ids, newest first."""
    store.changes = {"crowdfund_apps": ("app1",)}
    ids = settle(store, count)
    store.server.apps = {"app1": set(ids)}
    for invoice_id in ids:
        page = "https://pay.example.org/apps/app1/crowdfund"
        store.server.invoices[invoice_id]["metadata"] = {"orderUrl": page}
    return ids


@pytest.mark.parametrize("odd", [{0}, {23}, {59}, {10, 11, 40}])
async def test_invoices_that_no_search_shows_blind_it_for_no_other(
    store: FollowedStore, odd: set[int]
) -> None:
    ids = crowdfunded(store, 60)
    hidden = {ids[number] for number in odd}
    was_hidden = set(hidden)
    spoil_pages(store, hidden, when=lambda request: "textSearch" in request.query)
    async with store.follow() as source:
        await store.until(lambda: store.record.full_sweeps)
        await store.until(lambda: {row.subject for row in problems_of(store)} == was_hidden)
        assert {row.code for row in problems_of(store)} == {"crowdfund"}
        assert all(row.is_private for row in problems_of(store))
        found = {key for key, apps in store.record.apps.items() if apps == {"app1"}}
        assert found == set(ids) - was_hidden
        hidden.clear()
        await store.until(lambda: store.record.full_sweeps)
        for _ in range(3):
            await asyncio.sleep(0.05)  # longer than the longest pause of these tests
            await store.sweep(source, "full")
        await store.until(lambda: store.record.health.state == "ok")
        assert set(store.record.apps.values()) == {frozenset({"app1"})}


async def test_a_search_that_fails_everywhere_is_given_up(store: FollowedStore) -> None:
    crowdfunded(store, 60)
    store.server.overrides.append(
        lambda request: Response(500) if "textSearch" in request.query else None
    )
    async with store.follow():
        await store.until(lambda: store.record.full_sweeps)
        await store.until(lambda: store.record.problem_code == "crowdfund")
        assert [row.subject for row in problems_of(store)] == [""]
        assert len(store.record.payments) == 60
