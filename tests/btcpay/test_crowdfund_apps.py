"""A search tells which crowdfund app made an invoice."""

from tests.rig.fake_greenfield import BORN
from tests.rig.memory_store_record import FollowedStore

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
