"""The summary: sums that add up, counts, windows, and what it all stands on."""

from typing import Any

import pytest

from raised.db import schema

NOW = 1_750_000_000
MINUTE = NOW // 60 * 60
DAY = 86_400


async def test_an_empty_record_is_all_zeros(book: Any, api: Any) -> None:
    body = await api.json("/api/v1/summary")
    assert body["network"] == "regtest"
    assert body["projects"] == {
        "announced": 0,
        "committed": 0,
        "confirmed": 0,
        "rejected": 0,
        "event_missing": 0,
    }
    assert set(body["totals"].values()) == {0}
    assert set(body["angor"].values()) == {0}
    assert body["btcpay"]["invoices_by_status"]["Settled"] == 0
    assert body["as_of"] == {
        "at": "2025-06-15T15:06:00Z",
        "height": None,
        "hash": None,
        "seq": 0,
        "stale": True,
        "complete": False,
        "sources": {"relays": "off", "chain": "off", "btcpay": "off"},
    }


async def test_totals_partition_and_count(book: Any, api: Any) -> None:
    await book.whole()
    one, two = await book.project("one"), await book.project("two")
    txs = [await book.investment(one, amount, NOW - 500) for amount in (1000, 2001, 30_000)]
    txs.append(await book.investment(two, 5000, NOW - 400))
    for kind, amount in [
        ("claim", 700),
        ("recovery", 600),
        ("penalty_release", 250),
        ("unfunded_release", 50),
        ("penalty_free_recovery", 40),
        ("end_of_project", 30),
        ("unknown", 20),
    ]:
        if kind == "penalty_release":
            await book.total(one, penalty_released_sats=amount)
        else:
            await book.movement(kind, one, amount, NOW - 300, f"{txs[2]}:2")
    await book.total(two, unconfirmed_sats=77, rejected_investments=3)
    body = await api.json("/api/v1/summary")
    assert body["angor"] == {
        "raised_sats": 38_001,
        "returned_sats": 720,
        "net_sats": 37_281,
        "locked_sats": 36_561,
        "claimed_sats": 700,
        "unknown_sats": 20,
        "in_penalty_sats": 350,
        "penalty_released_sats": 250,
        "unconfirmed_sats": 77,
        "investments": 4,
        "investors": 4,
        "rejected_investments": 3,
    }
    assert body["totals"] == {
        "raised_sats": 38_001,
        "returned_sats": 720,
        "net_sats": 37_281,
        "unconfirmed_sats": 77,
        "contributions": 4,
        "contributors": 4,
        "average_contribution_sats": 9500,
        "median_contribution_sats": 3500,
    }
    assert body["last_24h"] == {"raised_sats": 38_001, "returned_sats": 720, "contributions": 4}


@pytest.mark.parametrize(
    ("amounts", "median"), [([5], 5), ([5, 8], 6), ([9, 1, 5], 5), ([1, 2, 4, 100], 3)]
)
async def test_the_median_of_an_even_number_is_the_floored_mean_of_the_middle_two(
    book: Any, api: Any, amounts: list[int], median: int
) -> None:
    project = await book.project("one")
    for amount in amounts:
        await book.investment(project, amount, NOW)
    await book.investment(project, 1, NOW, "unconfirmed")
    body = await api.json("/api/v1/summary")
    assert body["totals"]["median_contribution_sats"] == median


async def test_a_key_that_invests_twice_is_one_contributor(book: Any, api: Any) -> None:
    project = await book.project("one")
    for _ in range(2):
        await book.investment(project, 10, NOW, investor_key="02" * 33)
    body = await api.json("/api/v1/summary")
    assert body["totals"]["contributions"] == 2
    assert body["totals"]["contributors"] == body["angor"]["investors"] == 1


async def test_windows_end_at_the_minute_and_leave_out_what_is_older(book: Any, api: Any) -> None:
    project = await book.project("one")
    for amount, at in [
        (1, MINUTE),  # after the minute that the answer is cut to
        (10, MINUTE - 1),
        (100, MINUTE - DAY),
        (1000, MINUTE - DAY - 1),
        (10_000, MINUTE - 7 * DAY),
        (100_000, MINUTE - 7 * DAY - 1),
        (1_000_000, MINUTE - 30 * DAY),
        (10_000_000, MINUTE - 30 * DAY - 1),
    ]:
        await book.investment(project, amount, at)
    body = await api.json("/api/v1/summary")
    assert body["last_24h"] == {"raised_sats": 110, "returned_sats": 0, "contributions": 2}
    assert body["last_7d"] == {"raised_sats": 11_110, "returned_sats": 0, "contributions": 4}
    assert body["last_30d"] == {"raised_sats": 1_111_110, "returned_sats": 0, "contributions": 6}
    assert body["totals"]["raised_sats"] == 11_111_111


async def test_a_reversal_in_a_window_takes_back(book: Any, api: Any) -> None:
    project = await book.project("one")
    at = MINUTE - 60  # within an hour that is not whole
    await book.investment(project, 100, at)
    async with book.engine.begin() as conn:
        row = (await conn.execute(schema.movement.select())).one()
    await book.movement("reversal", project, 100, at, row.reference, reverses=row.id)
    body = await api.json("/api/v1/summary")
    assert body["last_24h"]["raised_sats"] == 0


async def test_projects_known_by_a_shallow_founding_alone_are_not_shown(
    book: Any, api: Any
) -> None:
    hidden = await book.project("hidden", "hidden", rejected_investments=5)
    await book.project("one", "announced")
    assert "hidden" not in (await api.json("/api/v1/summary"))["projects"]
    body = await api.json("/api/v1/projects?status=all")
    assert [item["name"] for item in body["items"]] == ["one"]
    assert (await api.get(f"/api/v1/projects/{hidden}")).status_code == 404


@pytest.mark.parametrize(
    ("relays", "state", "stale"),
    [
        (["ok", "ok"], "ok", False),
        (["ok", "down"], "degraded", False),
        (["degraded", "degraded"], "degraded", False),
        (["down", "down"], "down", True),
    ],
)
async def test_sources_are_down_when_nobody_is_left(
    book: Any, api: Any, relays: list[str], state: str, stale: bool
) -> None:
    await book.daemon()
    for number, one in enumerate(relays):
        await book.source(schema.relay, f"wss://{number}.example", one)
    body = (await api.json("/api/v1/summary"))["as_of"]
    assert body["sources"] == {"relays": state, "chain": "off", "btcpay": "off"}
    assert body["stale"] is stale


async def test_only_followed_sources_speak(book: Any, api: Any) -> None:
    """One that is no longer configured is left out; one that said nothing yet is not there."""
    await book.daemon()
    await book.source(schema.relay, "wss://old.example", "down")
    await book.source(schema.relay, "wss://new.example", "ok")
    async with book.engine.begin() as conn:
        settings = '{"relays": ["wss://new.example"], "explorers": ["https://silent.example"]}'
        await conn.execute(schema.daemon.update().values(settings=settings))
    sources = (await api.json("/api/v1/summary"))["as_of"]["sources"]
    assert sources == {"relays": "ok", "chain": "down", "btcpay": "off"}
    names = [item["name"] for item in (await api.json("/api/v1/relays"))["items"]]
    assert names == ["wss://new.example"]


@pytest.mark.parametrize(("ago", "stale"), [(60, False), (61, True)])
async def test_a_daemon_not_seen_for_a_minute_makes_it_stale(
    book: Any, api: Any, ago: int, stale: bool
) -> None:
    await book.daemon(NOW - ago)
    assert (await api.json("/api/v1/summary"))["as_of"]["stale"] is stale


async def test_it_stands_on_the_tip_and_the_newest_change(book: Any, api: Any) -> None:
    await book.block(7)
    last = await book.block(9)
    await book.changes(4)
    body = (await api.json("/api/v1/summary"))["as_of"]
    assert (body["height"], body["hash"], body["seq"]) == (9, last, 4)
