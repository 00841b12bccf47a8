"""Lists: filters, orders, and cursors that keep their place."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from raised.db import schema

NOW = 1_750_000_000
DAY = 86_400


async def walk(api: Any, path: str, limit: int = 2) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    sign = "&" if "?" in path else "?"
    cursor = ""
    while True:
        body = await api.json(f"{path}{sign}limit={limit}{cursor}")
        assert len(body["items"]) <= limit
        items += body["items"]
        if body["next_cursor"] is None:
            return items
        cursor = f"&cursor={body['next_cursor']}"


async def names(api: Any, path: str) -> list[str]:
    return [item["name"] for item in await walk(api, path)]


@pytest.fixture
async def projects(book: Any) -> Any:
    """Five projects that differ in everything one can sort by; some lack a value."""
    rows = [
        ("a", 10, 100, 1000, 3, NOW + 5),
        ("b", 20, 300, 1000, 1, NOW + 4),
        ("c", 30, 200, None, 2, None),
        ("d", None, 100, 50_000, 3, NOW + 3),
        ("e", 30, 0, 1000, 0, NOW + 4),
    ]
    for name, created_at, raised, target, investors, end_at in rows:
        await book.project(
            name,
            created_at=created_at,
            raised_sats=raised,
            claimed_sats=0,
            recovery_sats=raised // 2 if name == "b" else 0,
            target_sats=target,
            investors=investors,
            end_at=end_at,
        )
    return book


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", "ecbad"),
        ("?sort=-created", "ecbad"),
        ("?sort=created", "abced"),
        ("?sort=raised", "eadcb"),
        ("?sort=-raised", "bcdae"),
        ("?sort=net", "eadbc"),
        ("?sort=-net", "cbdae"),
        ("?sort=percent", "edabc"),
        ("?sort=-percent", "badec"),
        ("?sort=investors", "ebcad"),
        ("?sort=-investors", "dacbe"),
        ("?sort=ending", "dbeac"),
        ("?sort=-ending", "aebdc"),
    ],
)
async def test_projects_in_every_order_without_value_last(
    projects: Any, api: Any, sort: str, expected: str
) -> None:
    assert "".join(await names(api, f"/api/v1/projects{sort}")) == expected


async def test_projects_are_filtered(book: Any, api: Any) -> None:
    await book.project("a", "confirmed", type="fund", created_at=NOW)
    await book.project("b", "announced", created_at=NOW - DAY, about="Whales and 100% ice_")
    await book.project("c", "rejected", reason="bad_terms", created_at=NOW - 2 * DAY)
    await book.project("d", "event_missing", type=None)
    await book.project("e", "committed", type="subscribe", created_at=NOW + 1)

    async def body(query: str) -> str:
        return "".join(sorted(await names(api, f"/api/v1/projects?{query}")))

    assert await body("") == "ade"
    assert await body("status=all") == "abcde"
    assert await body("status=rejected,announced") == "bc"
    assert await body("status=rejected&status=announced") == "bc"
    assert await body("type=fund,subscribe") == "ae"
    assert await body("status=all&since=2025-06-14") == "abe"[0] + "be"
    assert await body("status=all&until=2025-06-15T15:06:40Z") == "bc"
    assert await body("status=all&since=2025-06-15T15:06:40Z&until=2025-06-15T15:06:41Z") == "a"
    assert await body("status=all&q=WHALES") == "b"
    assert await body("status=all&q=100%25") == "b"
    assert await body("status=all&q=e_") == "b"
    assert await body("status=all&q=angor1qc") == "c"
    assert await body("status=all&q=%25%25") == ""


async def test_a_cursor_keeps_its_place_when_rows_come_in(book: Any, api: Any) -> None:
    project = await book.project("one")
    for number in range(6):
        await book.investment(project, 10, NOW + number)
    for path in ("movements", "investments", f"projects/{project}/movements"):
        first = await api.json(f"/api/v1/{path}?limit=3")
        await book.investment(project, 10, NOW + 100)
        await book.changes(1)
        rest = await api.json(f"/api/v1/{path}?limit=200&cursor={first['next_cursor']}")
        key = "txid"
        seen = [item[key] for item in first["items"] + rest["items"]]
        assert len(seen) == len(set(seen))
        assert rest["next_cursor"] is None
        assert rest["items"][-1]["at"] == "2025-06-15T15:06:40Z"


async def test_rows_of_one_second_are_neither_lost_nor_shown_twice(book: Any, api: Any) -> None:
    project = await book.project("one")
    for _ in range(7):
        await book.investment(project, 10, NOW)
    for path in (
        "movements",
        "investments",
        f"projects/{project}/investments",
        f"projects/{project}/investors",
    ):
        body = await walk(api, f"/api/v1/{path}")
        key = "investor_key" if path.endswith("investors") else "txid"
        assert len({item[key] for item in body}) == 7, path


async def test_investments_by_status_reason_project_and_time(book: Any, api: Any) -> None:
    one, two = await book.project("one"), await book.project("two")
    await book.investment(one, 1, NOW)
    await book.investment(two, 2, NOW - 10)
    await book.investment(one, 3, NOW - 5, "unconfirmed")
    await book.investment(one, 4, NOW - 6, "rejected", reason="missing_stage")
    await book.investment(one, 5, NOW - 7, "rejected", reason="bad_op_return")
    await book.investment(one, 6, NOW - 8, "dropped")
    await book.investment(one, 7, NOW - 9, "unverified")

    async def body(query: str, path: str = "/api/v1/investments") -> list[int]:
        return [item["amount_sats"] for item in await walk(api, f"{path}?{query}")]

    assert await body("") == [1, 3, 2]
    assert await body("status=all") == [1, 3, 4, 5, 6, 7, 2]
    assert await body("status=dropped,unverified") == [6, 7]
    assert await body("reason=missing_stage") == [4]
    assert await body("reason=missing_stage&reason=bad_op_return") == [4, 5]
    assert await body("status=confirmed&reason=missing_stage") == []
    assert await body(f"project={two}") == [2]
    assert await body("", f"/api/v1/projects/{one}/investments") == [1, 3]
    assert await body("since=2025-06-15T15:06:35Z&until=2025-06-15T15:06:40Z") == [3]


async def test_movements_by_kind_source_project_and_time(book: Any, api: Any) -> None:
    one, two = await book.project("one"), await book.project("two")
    tx = await book.investment(one, 100, NOW - 10)
    await book.investment(two, 200, NOW - 20)
    await book.movement("claim", one, 30, NOW - 5, f"{tx}:2")
    await book.movement("recovery", one, 40, NOW - 5, f"{tx}:2")

    async def body(query: str) -> list[int]:
        return [item["amount_sats"] for item in await walk(api, f"/api/v1/movements?{query}")]

    assert await body("") == [40, 30, 100, 200]
    assert await body("kind=claim,recovery") == [40, 30]
    assert await body("source=btcpay") == []
    assert await body(f"project={two}") == [200]
    assert await body("since=2025-06-15T15:06:30Z&until=2025-06-15T15:06:35Z") == [100]


async def test_a_reversal_says_what_it_takes_back(book: Any, api: Any) -> None:
    project = await book.project("one")
    tx = await book.investment(project, 100, NOW)
    await book.movement("recovery", project, 40, NOW, f"{tx}:2")
    async with book.engine.begin() as conn:
        rows = (await conn.execute(schema.movement.select())).all()
    for row in reversed(rows):
        amount = row.amount_msats // 1000
        await book.movement("reversal", project, amount, NOW, row.reference, reverses=row.id)
    items = await walk(api, "/api/v1/movements")
    assert [(item["kind"], item["net_sats"]) for item in items] == [
        ("reversal", -100),
        ("reversal", 40),
        ("recovery", -40),
        ("investment", 100),
    ]
    assert [item["reverses"] for item in items[:2]] == [item["id"] for item in items[:1:-1]]
    assert {item["amount_msats"] for item in items} == {"100000", "40000"}


async def test_changes_are_oldest_first_and_go_on(book: Any, api: Any) -> None:
    await book.changes(3, "tip")
    await book.changes(3, "reorg")
    await book.changes(1, "tip")

    async def seqs(query: str) -> list[int]:
        return [item["seq"] for item in await walk(api, f"/api/v1/changes?{query}")]

    assert await seqs("") == [1, 2, 3, 4, 5, 6, 7]
    assert await seqs("after=4") == [5, 6, 7]
    assert await seqs("type=reorg") == [4, 5, 6]
    assert await seqs("type=tip&after=2") == [3, 7]
    assert await seqs("after=9223372036854775807") == []


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("limit=0", ["limit"]),
        ("limit=201", ["limit"]),
        ("limit=x", ["limit"]),
        ("limit=1&limit=2", ["limit"]),
        ("cursor=AAAA", ["cursor"]),
        ("cursor=%00", ["cursor"]),
        ("status=nope", ["status"]),
        ("status=", ["status"]),
        ("since=yesterday", ["since"]),
        ("until=2025-02-30", ["until"]),
        ("since=2025-01-01T00:00:00", ["since"]),
        ("q=%00", ["q"]),
        ("as_of=100", ["as_of"]),
        ("limit=0&nope=1&sort=fame&since=x", ["nope", "sort", "since", "limit"]),
    ],
)
async def test_all_that_is_wrong_is_said_at_once(api: Any, query: str, faults: list[str]) -> None:
    answer = await api.get(f"/api/v1/projects?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/bad-request"
    assert [fault["name"] for fault in problem["errors"]] == faults
    assert all(fault["reason"] for fault in problem["errors"])


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("summary?campaign=none", "The parameter campaign names no campaign of the record."),
        ("movements?campaign=none", "The parameter campaign names no campaign of the record."),
        (
            "series?metric=raised&bucket=day&since=1900-01-01",
            "The parameter since begins a span of more than 5000 points.",
        ),
        (
            "projects?q=%00&nope=1",
            "The parameter nope is not known here. The parameter q holds a null character.",
        ),
        ("projects?limit=1&limit=2", "The parameter limit is given more than once."),
        ("projects?cursor=AAAA", "The parameter cursor is no cursor of this list in this order."),
        ("projects/angor1unknown", "The record has no such project."),
        ("investments/" + "0" * 64, "The record has no such investment."),
    ],
)
async def test_what_is_wrong_is_said_in_sentences(api: Any, path: str, detail: str) -> None:
    assert (await api.get(f"/api/v1/{path}")).json()["detail"] == detail


async def test_a_cursor_of_another_list_or_order_is_refused(book: Any, api: Any) -> None:
    for name in "abc":
        await book.project(name)
    cursor = (await api.json("/api/v1/projects?limit=1"))["next_cursor"]
    for path in ("projects?sort=raised&", "movements?", "investments?", "changes?"):
        answer = await api.get(f"/api/v1/{path}cursor={cursor}")
        assert [fault["name"] for fault in answer.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("movements", '["movements",99999999999999999999,1]'),
        ("movements", '["movements",1,-99999999999999999999]'),
        ("movements", '["movements",1,"a"]'),
        ("investments", r'["investments",1,"a\u0000b"]'),
        ("investments", '["investments",1]'),
        ("investments", '["investments",1,"a"'),
        ("investments", ""),
    ],
)
async def test_a_made_up_cursor_is_refused(api: Any, path: str, place: str) -> None:
    cursor = urlsafe_b64encode(place.encode()).rstrip(b"=").decode()
    answer = await api.get(f"/api/v1/{path}?cursor={cursor}")
    assert answer.status_code == 400
    assert [fault["name"] for fault in answer.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize(
    "path",
    [
        "projects/angor1qnone",
        "projects/angor1qnone/stages",
        "projects/angor1qnone/evidence",
        "projects/%00",
        "projects/a%2Fb",
        "investments/" + "0" * 64,
        "investments/nonsense",
        "nothing",
    ],
)
async def test_what_is_not_there_is_not_found(api: Any, path: str) -> None:
    answer = await api.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


async def test_a_project_shows_profile_terms_and_who_holds_it(book: Any, api: Any) -> None:
    project = await book.project("one", nostr_pubkey="aa", event_id="ee")
    await book.add(
        schema.event,
        id="ee",
        pubkey="aa",
        created_at=NOW,
        kind=3030,
        tags="[]",
        content="not terms",
        sig="",
        seen_at=NOW,
    )
    for relay in ("wss://b.example", "wss://a.example"):
        await book.add(schema.event_relay, event_id="ee", relay=relay, seen_at=NOW)
    for kind, d, content in [
        (0, "", '{"displayName": "One", "picture": 7, "website": "https://one.example", "": "No"}'),
        (30078, "angor:project", "# Long story"),
        (30078, "angor:faq", '[{"question": "?", "answer": "!"}]'),
        (30078, "angor:media", "[" * 5000),
    ]:
        await book.add(
            schema.project_profile,
            pubkey="aa",
            kind=kind,
            d=d,
            event_id=f"{kind}{d}",
            created_at=NOW,
            content=content,
            tags="[]",
        )
    body = await api.json(f"/api/v1/projects/{project}")
    assert body["held_by"] == ["wss://a.example", "wss://b.example"]
    assert body["relays"] == 2
    assert body["terms"] is None
    profile = body["profile"]
    assert profile["display_name"] == "One"
    assert (profile["name"], profile["picture"]) == (None, None)
    assert profile["website"] == "https://one.example"
    assert profile["story"] == "# Long story"
    assert profile["faq"] == [{"question": "?", "answer": "!"}]
    assert profile["media"] is None


async def test_an_investment_shows_its_penalty(book: Any, api: Any) -> None:
    project = await book.project("one")
    txid = await book.investment(project, 100, NOW)
    recovery = "f" * 64
    await book.tx(recovery)
    async with book.engine.begin() as conn:
        await conn.execute(
            schema.stage_output.update().values(state="recovery", spent_txid=recovery)
        )
    await book.add(
        schema.penalty_output,
        txid=recovery,
        vout=0,
        project_id=project,
        investment_txid=txid,
        stage_vout=2,
        value_sats=100,
        state="penalty_matured",
        matures_at=NOW,
    )
    (stage,) = (await api.json(f"/api/v1/investments/{txid}"))["stages"]
    assert stage["penalty"] == {
        "txid": recovery,
        "vout": 0,
        "state": "penalty_matured",
        "matures_at": "2025-06-15T15:06:40Z",
        "released_txid": None,
        "released_at": None,
    }


async def test_dates_beyond_the_calendar_are_null(book: Any, api: Any) -> None:
    """Anybody may claim any date in an event."""
    await book.project("one", created_at=2**62, end_at=253_402_300_799)
    (item,) = (await api.json("/api/v1/projects"))["items"]
    assert item["created_at"] is None
    assert item["end_at"] == "9999-12-31T23:59:59Z"
