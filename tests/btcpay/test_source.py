"""A store from its check at start to its removal: health, reload, refresh, shutdown."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.rig.deadline import DEADLINE_SECONDS
from tests.rig.fake_greenfield import BELOW, BORN, BROKEN, ROOT, UNAUTHENTICATED, forbidden, payment
from tests.rig.memory_store_record import FAST_TIMING, LABEL, FollowedStore, MemoryStoreRecord

from raised.btcpay.source import StoreSource
from raised.domain.observation import (
    InvoicesSeen,
    RefundsSeen,
    SourceHealth,
)
from raised.errors import ConfigError
from raised_simnet.http.http_server import Response

WEBHOOK = "btcpay.store.webhooks.canmodifywebhooks"


def answer_at(path: str, answer: Response, failing: list[bool]) -> Any:
    return lambda request: answer if failing[0] and request.path == path else None


async def test_a_healthy_store_is_reported_with_its_facts(store: FollowedStore) -> None:
    async with store.follow():
        await store.until(lambda: store.record.health.facts.get("refunds_visible"))
    health = store.record.health
    assert (health.kind, health.name, health.state) == ("store", LABEL, "ok")
    assert health.facts["version"] == "2.4.5"
    assert health.facts["webhook"] is None
    assert health.facts["bad_rows"] == 0
    assert health.facts["last_pull_at"] == health.last_success_at == store.now
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
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_refusal_is_named_in_health_and_tried_again_slowly(
    store: FollowedStore, answer: Response, code: str, words: str
) -> None:
    failing = [True]
    store.server.overrides.append(answer_at(f"{BELOW}/invoices", answer, failing))
    async with store.follow():
        await store.until(lambda: store.record.problem_code == code)
        assert store.record.health.state == "down"
        assert store.record.health.last_error is not None
        assert words in store.record.health.last_error[1]
        assert not store.record.published(InvoicesSeen)
        failing[0] = False
        await store.until(
            lambda: store.record.health.state == "ok" and store.record.published(RefundsSeen)
        )


async def test_a_server_that_is_away_at_the_start_is_waited_for(store: FollowedStore) -> None:
    store.server.add("abc", "Settled")
    store.server.refuse(refuse=True)
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "unreachable")
        store.server.refuse(refuse=False)
        await store.until(
            lambda: "abc" in store.record.invoices and store.record.problem_code is None
        )


async def test_a_server_that_is_not_synchronized_is_degraded(store: FollowedStore) -> None:
    store.server.synchronized = False
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "not_synchronized")
        assert store.record.health.state == "degraded"
        assert "on-chain payments are late" in str(store.record.health.last_error)
        store.server.synchronized = True
        await store.until(lambda: store.record.problem_code is None)


async def test_an_outdated_version_is_a_warning_and_no_problem(store: FollowedStore) -> None:
    store.server.version = "2.4.1+abc"
    async with store.follow():
        await store.until(lambda: store.record.health.facts.get("warnings"))
        warnings = store.record.health.facts["warnings"]
        assert "2.4.2" in str(warnings)
        assert store.record.health.state == "ok"
        store.server.version = "2.4.2"
        await store.until(lambda: store.record.health.facts["warnings"] == ())


async def test_a_wrong_clock_is_a_warning(store: FollowedStore) -> None:
    ahead = {"Date": "Fri, 01 Jan 2100 00:00:00 GMT"}
    body = b'{"synchronized":true}'
    late = Response(200, body, "application/json", headers=ahead)
    store.server.overrides.append(answer_at(f"{ROOT}health", late, [True]))
    async with store.follow():
        await store.until(lambda: store.record.health.facts.get("warnings"))
    assert "apart" in str(store.record.health.facts["warnings"])


@pytest.mark.parametrize("path", ["pull-payments", "payouts"])
async def test_a_key_that_may_not_see_refunds_makes_the_store_degraded(
    store: FollowedStore, path: str
) -> None:
    permission = f"btcpay.store.canview{path.replace('-', '')}"
    failing = [True]
    store.server.overrides.append(answer_at(f"{BELOW}/{path}", forbidden(permission), failing))
    store.server.add("abc", "Settled")
    async with store.follow() as source:
        await store.until(lambda: store.record.problem_code == "refunds_unknown")
        health = store.record.health
        assert health.state == "degraded"
        assert health.facts["refunds_visible"] is False
        assert permission in str(health.last_error)
        assert "abc" in store.record.invoices
        assert not store.record.published(RefundsSeen)
        row = store.record.deliver("PayoutUpdated", None)
        await store.until(lambda: row in store.record.results)
        assert store.record.results[row] == "ignored"
        failing[0] = False
        await store.sweep(source, "recent")
        await store.until(lambda: store.record.health.facts["refunds_visible"] is True)
        assert store.record.health.state == "ok"


async def test_refunds_that_cannot_be_read_now_are_read_later(store: FollowedStore) -> None:
    failing = [True]
    store.server.overrides.append(answer_at(f"{BELOW}/payouts", BROKEN, failing))
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "busy")
        assert store.record.health.facts["refunds_visible"] is None
        failing[0] = False
        await store.until(
            lambda: store.record.published(RefundsSeen) and store.record.problem_code is None
        )


async def test_a_webhook_is_checked_where_the_key_may(store: FollowedStore) -> None:
    store.changes = {"expects_events": True}
    store.server.permissions = [WEBHOOK]
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "webhook")
        assert store.record.health.facts["webhook"] == "missing"
        assert "raised btcpay setup shop" in str(store.record.health.last_error)
        store.server.webhooks = [
            {"id": "hook", "url": "https://raised.example/webhooks/btcpay/shop", "enabled": True}
        ]
        await store.until(lambda: store.record.health.facts["webhook"] == "ok")
        assert store.record.problem_code is None
        store.server.deliveries = [
            {
                "id": "d1",
                "timestamp": store.now,
                "deliveryTime": store.now,
                "httpCode": None,
                "status": "Failed",
            }
        ]
        await store.until(lambda: store.record.health.facts["webhook"] == "failing")
        assert store.record.health.state == "degraded"


async def test_a_webhook_is_not_checked_where_the_key_may_not(store: FollowedStore) -> None:
    store.changes = {"expects_events": True}
    store.server.permissions = ["btcpay.store.canviewinvoices"]
    async with store.follow():
        await store.until(lambda: store.server.count("health") > 2)
    assert store.server.count("/webhooks") == 0
    assert store.record.health.facts["webhook"] == "configured"
    assert store.record.health.state == "ok"


async def test_a_requested_refresh_sweeps_at_once(store: FollowedStore) -> None:
    store.record.refreshed = store.now - 1000  # long ago, before the start
    async with store.follow():
        await store.until(lambda: store.record.published(RefundsSeen))
        await store.until(lambda: len(store.record.full_sweeps) == 1)
        pulls = len(store.record.published(RefundsSeen))
        store.server.add("abc", "New", at=BORN)
        store.record.refreshed = store.now
        await store.until(lambda: "abc" in store.record.invoices)
        await store.until(lambda: len(store.record.published(RefundsSeen)) > pulls)
        await store.until(lambda: store.server.count("/invoices?status=new"))
        await store.until(lambda: len(store.record.full_sweeps) == 2)


async def test_a_requested_refresh_tries_a_refused_key_again(
    store: FollowedStore,
) -> None:
    failing = [True]
    store.server.overrides.append(answer_at(f"{BELOW}/invoices", UNAUTHENTICATED, failing))
    store.timing = replace(store.timing, refused_retry=3600)
    async with store.follow():
        await store.until(lambda: store.record.problem_code == "unauthenticated")
        failing[0] = False
        store.record.refreshed = store.now
        await store.until(lambda: store.record.health.state == "ok")


async def test_stores_are_replaced_without_a_restart(store: FollowedStore) -> None:
    store.server.add("abc", "Settled")
    async with store.follow() as source:
        await store.until(lambda: store.record.published(RefundsSeen))
        source.replace([store.settings(label="other")])
        await store.until(
            lambda: "other" in {health.name for health in store.record.published(SourceHealth)}
        )
        with pytest.raises(ConfigError):
            source.replace([store.settings(label="third", api_key="no single word")])
        source.replace([])
        await store.until(lambda: not source._following)
        # Hang up, so that no request is under way any more; then count those of several intervals.
        store.server.refuse(refuse=True)
        store.server.refuse(refuse=False)
        requests = len(store.server.requests)
        await asyncio.sleep(0.05)
        assert len(store.server.requests) == requests


async def test_a_store_that_fails_delays_no_other(store: FollowedStore) -> None:
    store.server.add("abc", "Settled")
    failing = [True]
    bad = store.settings(label="bad", store_id="elsewhere")
    store.server.overrides.append(
        lambda request: UNAUTHENTICATED if failing[0] and "elsewhere" in request.path else None
    )
    async with store.follow() as source:
        source.replace([bad, store.settings()])
        await store.until(lambda: "abc" in store.record.invoices)
        await store.until(lambda: _states(store) == {"bad": "down", LABEL: "ok"})


def _states(store: FollowedStore) -> dict[str, str]:
    return {health.name: health.state for health in store.record.published(SourceHealth)}


async def test_an_unknown_error_ends_the_source(store: FollowedStore) -> None:
    class Broken(MemoryStoreRecord):
        async def pending_deliveries(self, store: str, limit: int) -> Any:
            raise ZeroDivisionError

    source = StoreSource([store.settings()], Broken(), clock=store.clock, timing=FAST_TIMING)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await source.follow(asyncio.Queue())
    await source.close()
    inner: BaseException = caught.value
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    assert isinstance(inner, ZeroDivisionError)


async def test_no_observation_contains_a_secret(store: FollowedStore) -> None:
    store.server.add("abc", "Settled")
    store.server.pay("abc", payment(1))
    async with store.follow():
        await store.until(lambda: store.record.published(RefundsSeen))
    assert store.settings().api_key not in repr(store.record.observations)


async def test_a_stop_leaves_no_task_wherever_it_comes(store: FollowedStore) -> None:
    """`FollowedStore.follow` fails when a task is left."""
    store.changes = {"crowdfund_apps": ("app1",), "expects_events": True}
    for number in range(60):
        store.server.add(f"inv{number}", at=BORN - number)
    for requests in (0, 1, 2, 4, 8, 12):
        store.record.deliver("InvoiceCreated", "inv1", at=store.now)
        enough = len(store.server.requests) + requests
        async with store.follow():
            await store.until(lambda: len(store.server.requests) >= enough)  # noqa: B023
    async with store.follow():
        await store.until(lambda: len(store.record.results) == len(store.record.inbox))
