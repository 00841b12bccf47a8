"""The list of problems: of sources and of single items, and what of it leads to payers."""

from typing import Any

from tests.api.http.test_auth import bearer, make_key

from raised.db import schema

NOW = 1_750_000_000


async def add_problem(book: Any, subject: str, since_at: int = NOW, **more: object) -> None:
    row = {
        "kind": "store",
        "name": "shop",
        "code": "too_large",
        "detail": "is larger than we take",
        "state": "degraded",
        "is_private": True,
        "last_at": NOW,
        "tries": 3,
    }
    await book.add(schema.problem, **{**row, "subject": subject, "since_at": since_at, **more})


async def test_a_problem_has_all_its_fields(book: Any, api: Any) -> None:
    await book.whole()
    await add_problem(book, "invoice-1")
    body = (
        await api.get("/api/v1/problems", headers=bearer(await make_key(book, "invoices:read")))
    ).json()
    assert body["items"] == [
        {
            "source": "shop",
            "code": "too_large",
            "subject": "invoice-1",
            "detail": "is larger than we take",
            "since_at": "2025-06-15T15:06:40Z",
            "last_at": "2025-06-15T15:06:40Z",
            "tries": 3,
            "severity": "degraded",
        }
    ]
    assert body["next_cursor"] is None


async def test_what_leads_to_payers_is_not_public(book: Any, api: Any) -> None:
    await book.whole()
    await add_problem(book, "invoice-1")
    await add_problem(book, "angor1q", kind="chain", name="chain", code="history", is_private=False)
    for path, key in (("/api/v1/problems", "items"), ("/health", "problems")):
        answer = await api.get(path)
        assert "invoice-1" not in answer.text
        assert {item["subject"] for item in answer.json()[key]} == {None, "angor1q"}


async def test_a_warning_is_listed_and_makes_nothing_worse(book: Any, api: Any) -> None:
    await book.whole()
    await add_problem(book, "", code="old_version", state="ok")
    body = (await api.get("/health")).json()
    assert body["status"] == "ready"
    assert [problem["severity"] for problem in body["problems"]] == ["warning"]


async def test_what_no_explorer_gives_degrades_the_chain(book: Any, api: Any) -> None:
    await book.whole()
    await add_problem(book, "angor1q", kind="chain", name="chain", code="history", is_private=False)
    assert (await api.get("/api/v1/summary")).json()["as_of"]["sources"]["chain"] == "degraded"
    assert (await api.get("/health")).json()["status"] == "degraded"


async def test_pages_go_on_where_the_last_ended(book: Any, api: Any) -> None:
    await book.whole()
    for number in range(5):
        await add_problem(book, f"angor{number}", NOW - number // 2, is_private=False)
    subjects: list[str] = []
    cursor = ""
    for _ in range(3):
        body = (await api.get(f"/api/v1/problems?limit=2{cursor}")).json()
        subjects += [item["subject"] for item in body["items"]]
        cursor = f"&cursor={body['next_cursor']}"
    assert body["next_cursor"] is None
    assert sorted(subjects) == [f"angor{number}" for number in range(5)]
    assert {*subjects[:2]} == {"angor0", "angor1"}
