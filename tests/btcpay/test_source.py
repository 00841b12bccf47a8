"""A store's life: the check at start, what is wrong in words, reload, refresh, shutdown."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.rig.fake_greenfield import BELOW, BORN, BROKEN, ROOT, UNAUTHENTICATED, forbidden, payment
from tests.rig.memory_store_record import FAST_TIMING, LABEL, FollowedStore, MemoryStoreRecord

from raised.btcpay.source import StoreSource
from raised.domain.observation import (
    InvoicesSeen,
    Progress,
    RefundsSeen,
    SourceHealth,
    SweepDone,
)
from raised.errors import ConfigError
from raised_simnet.http.http_server import Response

WEBHOOK = "btcpay.store.webhooks.canmodifywebhooks"


def answer_at(path: str, answer: Response, on: list[bool]) -> Any:
    return lambda request: answer if on[0] and request.path == path else None


def full_sweeps(shop: FollowedStore) -> int:
    return sum(one.sweep == "full" for one in shop.ledger.of(SweepDone))


async def test_a_healthy_store_says_so_once(shop: FollowedStore) -> None:
    async with shop.follow():
        await shop.until(lambda: shop.ledger.health.facts.get("refunds_visible"))
    health = shop.ledger.health
    assert (health.kind, health.name, health.state) == ("store", LABEL, "ok")
    assert health.facts["version"] == "2.4.5"
    assert health.facts["webhook"] is None
    assert health.facts["bad_rows"] == 0
    assert health.facts["last_pull_at"] == health.last_success_at == shop.now
    assert health.latency_ms is not None


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (UNAUTHENTICATED, "unauthenticated", "API key"),
        (forbidden("btcpay.store.canviewinvoices"), "missing_permission", "canviewinvoices"),
        (Response(404, content_type=""), "no_route", "url"),
        (Response(403, b"<html></html>", "text/html"), "blocked", "let us in"),
        (Response(302, headers={"Location": "https://evil.example"}), "redirect", "final address"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_what_no_second_try_changes_is_named_and_tried_slowly(
    shop: FollowedStore, answer: Response, code: str, words: str
) -> None:
    on = [True]
    shop.till.tricks.append(answer_at(f"{BELOW}/invoices", answer, on))
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == code)
        assert shop.ledger.health.state == "down"
        assert shop.ledger.health.last_error is not None
        assert words in shop.ledger.health.last_error[1]
        assert not shop.ledger.of(InvoicesSeen)
        on[0] = False
        await shop.until(lambda: shop.ledger.health.state == "ok" and shop.ledger.of(RefundsSeen))


async def test_a_server_that_is_away_at_the_start_is_waited_for(shop: FollowedStore) -> None:
    shop.till.add("abc", "Settled")
    shop.till.refuse(refuse=True)
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == "unreachable")
        shop.till.refuse(refuse=False)
        await shop.until(lambda: "abc" in shop.ledger.invoices and shop.ledger.trouble is None)


async def test_a_server_that_lags_behind_its_chain_makes_figures_late(shop: FollowedStore) -> None:
    shop.till.synchronized = False
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == "not_synchronized")
        assert shop.ledger.health.state == "degraded"
        assert "on-chain payments are late" in str(shop.ledger.health.last_error)
        shop.till.synchronized = True
        await shop.until(lambda: shop.ledger.trouble is None)


async def test_an_old_version_is_a_warning_and_no_trouble(shop: FollowedStore) -> None:
    shop.till.version = "2.4.1+abc"
    async with shop.follow():
        await shop.until(lambda: shop.ledger.health.facts.get("warnings"))
        warnings = shop.ledger.health.facts["warnings"]
        assert "2.4.2" in str(warnings)
        assert shop.ledger.health.state == "ok"
        shop.till.version = "2.4.2"
        await shop.until(lambda: shop.ledger.health.facts["warnings"] == ())


async def test_a_clock_that_is_wrong_is_told(shop: FollowedStore) -> None:
    ahead = {"Date": "Fri, 01 Jan 2100 00:00:00 GMT"}
    body = b'{"synchronized":true}'
    late = Response(200, body, "application/json", headers=ahead)
    shop.till.tricks.append(answer_at(f"{ROOT}health", late, [True]))
    async with shop.follow():
        await shop.until(lambda: shop.ledger.health.facts.get("warnings"))
    assert "apart" in str(shop.ledger.health.facts["warnings"])


@pytest.mark.parametrize("path", ["pull-payments", "payouts"])
async def test_a_key_that_may_not_see_refunds_makes_the_store_degraded(
    shop: FollowedStore, path: str
) -> None:
    permission = f"btcpay.store.canview{path.replace('-', '')}"
    on = [True]
    shop.till.tricks.append(answer_at(f"{BELOW}/{path}", forbidden(permission), on))
    shop.till.add("abc", "Settled")
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.trouble == "refunds_unknown")
        health = shop.ledger.health
        assert health.state == "degraded"
        assert health.facts["refunds_visible"] is False
        assert permission in str(health.last_error)
        assert "abc" in shop.ledger.invoices
        assert not shop.ledger.of(RefundsSeen)
        row = shop.ledger.ring("PayoutUpdated", None)
        await shop.until(lambda: row in shop.ledger.results)
        assert shop.ledger.results[row] == "ignored"
        on[0] = False
        await stores.sweep("recent")
        await shop.until(lambda: shop.ledger.health.facts["refunds_visible"] is True)
        assert shop.ledger.health.state == "ok"


async def test_refunds_that_cannot_be_read_now_are_read_later(shop: FollowedStore) -> None:
    on = [True]
    shop.till.tricks.append(answer_at(f"{BELOW}/payouts", BROKEN, on))
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == "busy")
        assert shop.ledger.health.facts["refunds_visible"] is None
        on[0] = False
        await shop.until(lambda: shop.ledger.of(RefundsSeen) and shop.ledger.trouble is None)


async def test_a_webhook_is_looked_at_where_the_key_may(shop: FollowedStore) -> None:
    shop.changes = {"expects_events": True}
    shop.till.permissions = [WEBHOOK]
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == "webhook")
        assert shop.ledger.health.facts["webhook"] == "missing"
        assert "raised btcpay setup shop" in str(shop.ledger.health.last_error)
        shop.till.webhooks = [
            {"id": "hook", "url": "https://raised.example/webhooks/btcpay/shop", "enabled": True}
        ]
        await shop.until(lambda: shop.ledger.health.facts["webhook"] == "ok")
        assert shop.ledger.trouble is None
        shop.till.deliveries = [
            {
                "id": "d1",
                "timestamp": shop.now,
                "deliveryTime": shop.now,
                "httpCode": None,
                "status": "Failed",
            }
        ]
        await shop.until(lambda: shop.ledger.health.facts["webhook"] == "failing")
        assert shop.ledger.health.state == "degraded"


async def test_a_webhook_is_not_asked_for_where_the_key_may_not(shop: FollowedStore) -> None:
    shop.changes = {"expects_events": True}
    shop.till.permissions = ["btcpay.store.canviewinvoices"]
    async with shop.follow():
        await shop.until(lambda: shop.till.count("health") > 2)
    assert shop.till.count("/webhooks") == 0
    assert shop.ledger.health.facts["webhook"] == "configured"
    assert shop.ledger.health.state == "ok"


async def test_a_request_to_refresh_pulls_now(shop: FollowedStore) -> None:
    shop.ledger.refreshed = shop.now - 1000  # of long ago: nobody waits for it
    async with shop.follow():
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        await shop.until(lambda: full_sweeps(shop) == 1)
        pulls = len(shop.ledger.of(RefundsSeen))
        shop.till.add("abc", "New", at=BORN)
        shop.ledger.refreshed = shop.now
        await shop.until(lambda: "abc" in shop.ledger.invoices)
        await shop.until(lambda: len(shop.ledger.of(RefundsSeen)) > pulls)
        await shop.until(lambda: shop.till.count("/invoices?status=new"))
        await shop.until(lambda: full_sweeps(shop) == 2)


async def test_a_request_to_refresh_tries_a_key_again_that_was_refused(shop: FollowedStore) -> None:
    on = [True]
    shop.till.tricks.append(answer_at(f"{BELOW}/invoices", UNAUTHENTICATED, on))
    shop.pauses = replace(shop.pauses, locked_out=3600)
    async with shop.follow():
        await shop.until(lambda: shop.ledger.trouble == "unauthenticated")
        on[0] = False
        shop.ledger.refreshed = shop.now
        await shop.until(lambda: shop.ledger.health.state == "ok")


async def test_stores_are_replaced_without_a_restart(shop: FollowedStore) -> None:
    shop.till.add("abc", "Settled")
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
        stores.replace([shop.settings(label="other")])
        await shop.until(lambda: "other" in {one.name for one in shop.ledger.of(SourceHealth)})
        with pytest.raises(ConfigError):
            stores.replace([shop.settings(label="third", api_key="no single word")])
        stores.replace([])
        await shop.until(lambda: not stores._following)
        asked = len(shop.till.asked)
        await asyncio.sleep(0.05)
        assert len(shop.till.asked) == asked


async def test_a_store_that_is_removed_leaves_no_work_unfinished(shop: FollowedStore) -> None:
    """Whoever waits for its first sweep would wait for ever."""
    shop.pauses = replace(FAST_TIMING, page=30.0)
    for number in range(60):
        shop.till.add(f"inv{number}", at=BORN - number)
    async with shop.follow() as stores:
        await shop.until(lambda: shop.ledger.of(Progress))
        assert shop.ledger.of(Progress)[-1].done < shop.ledger.of(Progress)[-1].total
        stores.replace([])
        await shop.until(lambda: shop.ledger.of(Progress)[-1].total == 0)


async def test_one_store_in_trouble_holds_up_no_other(shop: FollowedStore) -> None:
    shop.till.add("abc", "Settled")
    on = [True]
    bad = shop.settings(label="bad", store_id="elsewhere")
    shop.till.tricks.append(
        lambda request: UNAUTHENTICATED if on[0] and "elsewhere" in request.path else None
    )
    async with shop.follow() as stores:
        stores.replace([bad, shop.settings()])
        await shop.until(lambda: "abc" in shop.ledger.invoices)
        states = {one.name: one.state for one in shop.ledger.of(SourceHealth)}
    assert states == {"bad": "down", LABEL: "ok"} or "bad" not in states


async def test_an_unknown_error_leaves(shop: FollowedStore) -> None:
    class Broken(MemoryStoreRecord):
        async def pending_deliveries(self, store: str, limit: int) -> Any:
            raise ZeroDivisionError

    stores = StoreSource([shop.settings()], Broken(), clock=shop.clock, pauses=FAST_TIMING)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5):
            await stores.follow(asyncio.Queue())
    await stores.close()
    inner: BaseException = caught.value
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    assert isinstance(inner, ZeroDivisionError)


async def test_a_full_outbox_keeps_the_order_of_answers(shop: FollowedStore) -> None:
    """The record may be slow; what is told later was asked later."""
    shop.pauses = replace(FAST_TIMING, echo=0.0)
    statuses = ["New", "Processing", "Settled"]
    shop.till.add("abc", statuses[0])
    shop.commits.clear()
    async with shop.follow():
        for status in statuses:
            shop.till.add("abc", status)
            shop.ledger.ring("InvoiceProcessing", "abc")
            await asyncio.sleep(0.03)
        shop.commits.set()
        await shop.until(lambda: len(shop.ledger.results) == 3)
        assert shop.ledger.invoices["abc"].status == "Settled"


async def test_secrets_are_in_nothing_that_is_told(shop: FollowedStore) -> None:
    shop.till.add("abc", "Settled")
    shop.till.pay("abc", payment(1))
    async with shop.follow():
        await shop.until(lambda: shop.ledger.of(RefundsSeen))
    assert shop.settings().api_key not in repr(shop.ledger.told)


async def test_a_stop_leaves_no_task_wherever_it_comes(shop: FollowedStore) -> None:
    """`follow` of the shop fails when a task is left."""
    shop.changes = {"crowdfund_apps": ("app1",), "expects_events": True}
    for number in range(60):
        shop.till.add(f"inv{number}", at=BORN - number)
    for pause in (0.0, 0.005, 0.01, 0.02, 0.04):
        shop.ledger.ring("InvoiceCreated", "inv1", at=shop.now)
        async with shop.follow():
            await asyncio.sleep(pause)
    async with shop.follow():
        await shop.until(lambda: len(shop.ledger.results) == len(shop.ledger.inbox))
