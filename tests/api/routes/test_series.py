"""Series: buckets of the wall clock, and values that add up to the totals."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.errors import InvalidInput
from raised_api.totals.time_buckets import edges_between

NOW = 1_750_000_000
HOUR, DAY = 3600, 86_400
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia", "Asia/Beirut"]


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


async def test_values_and_running_sums_of_every_metric(book: Any, api: Any) -> None:
    project = await book.project("one")
    tx = await book.investment(project, 1000, at("2025-06-12T10:00:00"))
    await book.investment(project, 500, at("2025-06-14T23:59:59"))
    await book.movement("recovery", project, 300, at("2025-06-13T00:00:00"), f"{tx}:2")
    await book.movement("claim", project, 200, at("2025-06-13T05:00:00"), f"{tx}:3")
    expected = {
        "raised": [(1000, 1000), (0, 1000), (500, 1500), (0, 1500)],
        "returned": [(0, 0), (300, 300), (0, 300), (0, 300)],
        "net": [(1000, 1000), (-300, 700), (500, 1200), (0, 1200)],
        "claimed": [(0, 0), (200, 200), (0, 200), (0, 200)],
        "contributions": [(1, 1), (0, 1), (1, 2), (0, 2)],
    }
    for metric, points in expected.items():
        for path in ("/api/v1/series", f"/api/v1/projects/{project}/series"):
            body = await api.json(f"{path}?metric={metric}&cumulative=true")
            assert body["unit"] == ("count" if metric == "contributions" else "sats")
            assert [(point["value"], point["cumulative"]) for point in body["points"]] == points
            assert [point["at"] for point in body["points"]] == [
                f"2025-06-{day}T00:00:00Z" for day in (12, 13, 14, 15)
            ]
            assert [point["partial"] for point in body["points"]] == [False, False, False, True]


async def test_without_asking_there_is_no_running_sum(book: Any, api: Any) -> None:
    await book.investment(await book.project("one"), 10, NOW)
    (point,) = (await api.json("/api/v1/series"))["points"]
    assert point["cumulative"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("since=1969-12-31&until=1970-01-02", ["1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"]),
        ("since=0900-02-28&until=0900-03-01", ["0900-02-28T00:00:00Z"]),
        ("since=1970-01-01&until=1970-01-02&tz=Asia/Kolkata", ["1969-12-31T18:30:00Z"]),
    ],
)
async def test_every_point_has_its_time(
    book: Any, api: Any, query: str, expected: list[str]
) -> None:
    await book.investment(await book.project("one"), 10, NOW)
    points = (await api.json(f"/api/v1/series?{query}"))["points"]
    assert [point["at"] for point in points] == expected


async def test_a_bucket_before_the_first_instant_that_can_be_written_is_refused(
    book: Any, api: Any
) -> None:
    await book.investment(await book.project("one"), 10, NOW)
    for query in (
        "since=0001-01-01T06:00:00Z&until=0001-01-03&tz=Asia/Kolkata",
        "since=0001-01-01&until=0001-01-03&tz=Asia/Kolkata",
        "since=9999-12-31&until=9999-12-31T23:59:59Z",
    ):
        assert (await api.get(f"/api/v1/series?{query}")).status_code == 400, query


async def test_running_sums_begin_with_the_ledger_not_with_the_span(book: Any, api: Any) -> None:
    project = await book.project("one")
    for day in (1, 5, 9):
        await book.investment(project, day, at(f"2025-06-0{day}T12:00:00"))
    body = await api.json(
        "/api/v1/series?since=2025-06-05T18:00:00Z&until=2025-06-06T00:00:01Z&cumulative=true"
    )
    assert [
        (point["at"][:10], point["value"], point["cumulative"]) for point in body["points"]
    ] == [
        ("2025-06-05", 5, 6),
        ("2025-06-06", 0, 6),
    ]


async def test_weeks_begin_on_monday(book: Any, api: Any) -> None:
    project = await book.project("one")
    await book.investment(project, 1, at("2025-06-08T23:59:59"))  # a Sunday
    await book.investment(project, 2, at("2025-06-09T00:00:00"))
    body = await api.json("/api/v1/series?bucket=week")
    assert [(point["at"][:10], point["value"]) for point in body["points"]] == [
        ("2025-06-02", 1),
        ("2025-06-09", 2),
    ]


@pytest.mark.parametrize("zone", ZONES)
async def test_days_follow_the_wall_clock_of_the_zone(book: Any, api: Any, zone: str) -> None:
    project = await book.project("one")
    late, early = at("2025-06-10T23:59:00", zone), at("2025-06-11T00:00:00", zone)
    await book.investment(project, 1, late)
    await book.investment(project, 20, early)
    body = await api.json(f"/api/v1/series?tz={zone}&until=2025-06-12")
    assert [point["value"] for point in body["points"]] == [1, 20]
    assert at("2025-06-11T00:00:00", zone) == at(body["points"][1]["at"].removesuffix("Z"))
    counted = await api.json(f"/api/v1/series?tz={zone}&until=2025-06-12&metric=contributions")
    assert [point["value"] for point in counted["points"]] == [1, 1]


async def test_new_rows_and_reversals_move_the_series_on(book: Any, api: Any) -> None:
    """The API keeps sums in memory and adds what is new."""
    project = await book.project("one")
    tx = await book.investment(project, 100, NOW - DAY)
    assert [point["value"] for point in (await api.json("/api/v1/series"))["points"]] == [100, 0]
    await book.movement("recovery", project, 30, NOW - HOUR, f"{tx}:2")
    from raised.db import schema

    async with book.engine.begin() as conn:
        rows = (await conn.execute(schema.movement.select())).all()
    await book.movement("reversal", project, 30, NOW - HOUR, f"{tx}:2", reverses=rows[-1].id)
    await book.movement("recovery", project, 25, NOW - DAY, f"{tx}:2")
    await book.changes(1)

    async def values() -> list[int]:
        body = await api.json("/api/v1/series?metric=returned&tz=Europe/London")
        return [point["value"] for point in body["points"]]

    assert await values() == [25, 0]


async def test_sources_are_apart(book: Any, api: Any) -> None:
    await book.investment(await book.project("one"), 10, NOW - 60)
    assert (await api.json("/api/v1/series?source=btcpay"))["points"] == []
    body = await api.json("/api/v1/series?source=btcpay&since=2025-06-15&metric=contributions")
    assert [point["value"] for point in body["points"]] == [0]
    assert len((await api.json("/api/v1/series?source=angor"))["points"]) == 1


async def test_a_block_whose_clock_is_ahead_is_in_the_series(book: Any, api: Any) -> None:
    await book.investment(await book.project("one"), 10, NOW + 7000)
    body = await api.json("/api/v1/series?cumulative=true")
    assert body["points"][-1]["cumulative"] == 10


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("since=1990-01-01", "since"),
        ("since=0001-01-01", "since"),
        ("until=9999-12-31T23:59:59Z&since=9999-12-30", "since"),
        ("tz=Mars/Olympus", "tz"),
        ("tz=..", "tz"),
        ("metric=fame", "metric"),
        ("bucket=decade", "bucket"),
        ("cumulative=yes", "cumulative"),
    ],
)
async def test_what_cannot_be_answered_is_refused(api: Any, query: str, name: str) -> None:
    answer = await api.get(f"/api/v1/series?{query}")
    assert answer.status_code == 400
    assert [fault["name"] for fault in answer.json()["errors"]] == [name]


@given(
    since=st.integers(1_200_000_000, 2_000_000_000),
    days=st.integers(0, 400),
    bucket=st.sampled_from(["day", "week"]),
    zone=st.sampled_from(ZONES),
)
def test_buckets_tile_the_span(since: int, days: int, bucket: str, zone: str) -> None:
    until = since + days * DAY + 1
    edges = edges_between(since, until, bucket, ZoneInfo(zone))
    assert edges[0] <= since < edges[1]
    assert edges[-2] < until <= edges[-1]
    assert edges == sorted(set(edges))
    locals_ = [datetime.fromtimestamp(edge, ZoneInfo(zone)) for edge in edges]
    assert bucket == "day" or {local.weekday() for local in locals_} == {0}


@pytest.mark.parametrize(
    ("zone", "since", "left_out"),
    [
        ("Pacific/Apia", 1_325_152_800, "2011-12-30"),
        ("Pacific/Kwajalein", 745_848_000, "1993-08-21"),
    ],
)
def test_a_day_that_a_zone_left_out_has_no_bucket(zone: str, since: int, left_out: str) -> None:
    """Samoa and Kwajalein crossed the date line: a whole day of the calendar is missing."""
    edges = edges_between(since, since + 4 * DAY, "day", ZoneInfo(zone))
    assert edges == sorted(set(edges))
    days = [datetime.fromtimestamp(edge, ZoneInfo(zone)).date().isoformat() for edge in edges]
    assert left_out not in days
    assert len(set(days)) == len(days)


def test_a_day_whose_midnight_does_not_exist_begins_at_the_jump() -> None:
    """Beirut's clocks went from 0:00 to 1:00 on 2022-03-27."""
    zone = ZoneInfo("Asia/Beirut")
    edges = edges_between(at("2022-03-26T12:00:00"), at("2022-03-28T12:00:00"), "day", zone)
    assert [datetime.fromtimestamp(edge, zone).hour for edge in edges] == [0, 1, 0, 0]
    assert edges[2] - edges[1] == 23 * HOUR


def test_more_than_5000_buckets_are_refused() -> None:
    edges_between(0, 5000 * DAY, "day", ZoneInfo("UTC"))
    with pytest.raises(InvalidInput, match="5000"):
        edges_between(0, 5000 * DAY + 1, "day", ZoneInfo("UTC"))
