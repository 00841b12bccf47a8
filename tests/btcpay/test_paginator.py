"""Every row that was there all the time is shown, however rows come and go between pages."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.invoice_query import InvoiceAnswer, InvoicePage
from raised.btcpay.paginator import PAGE, InvoicePaginator
from raised.domain.btcpay.invoice import Invoice
from raised.errors import BadData

ROW = Invoice("", "New", "None", "Standard", "BTC", "1", None, 0, 0, 0, archived=False)


class Shelf:
    """A server's list as it answers, with something that happens before every answer."""

    name = "shelf"

    def __init__(self, times: dict[str, int], seed: int) -> None:
        self.times = times
        self.dice = random.Random(seed)
        self.happens: Callable[[], None] = lambda: None
        self.pages: list[InvoicePage] = []

    async def invoices(self, page: InvoicePage) -> InvoiceAnswer:
        self.happens()
        self.pages.append(page)
        found = [
            (at, one)
            for one, at in self.times.items()
            if (page.start is None or at >= page.start) and (page.end is None or at <= page.end)
        ]
        self.dice.shuffle(found)
        found.sort(key=lambda row: -row[0])
        rows = found[page.skip : page.skip + page.take]
        invoices = tuple(replace(ROW, id=one, created_at=at) for at, one in rows)
        return InvoiceAnswer(invoices, 0, len(rows), min((at for at, _ in rows), default=None))


async def walked(shelf: Shelf, start: int | None = None) -> set[str]:
    walk = InvoicePaginator(cast("Greenfield", shelf), start=start)
    shown: set[str] = set()
    for _ in range(500):
        answer = await walk.read()
        shown.update(one.id for one in answer.invoices)
        walk.move(answer)
        if walk.ended:
            return shown
    raise AssertionError("never comes to an end")


@given(
    st.lists(st.tuples(st.integers(1000, 1010), st.integers(0, 130)), max_size=8),
    st.integers(0, 1000),
    st.booleans(),
    st.booleans(),
)
async def test_all_that_stays_is_shown(
    seconds: list[tuple[int, int]], seed: int, comes: bool, goes: bool
) -> None:
    times = {
        f"{number}-{row}": at for number, (at, rows) in enumerate(seconds) for row in range(rows)
    }
    shelf = Shelf(dict(times), seed)
    leaves = [one for one in times if one.endswith("7")] if goes else []

    def happens() -> None:
        if comes:
            shelf.times[f"new{len(shelf.pages)}"] = 1011 + len(shelf.pages)
        for one in leaves[:3]:
            shelf.times.pop(one, None)
            leaves.remove(one)

    shelf.happens = happens
    shown = await walked(shelf)
    stays = {one for one in times if not (goes and one.endswith("7"))}
    assert stays <= shown


async def test_more_rows_in_a_second_than_an_answer_may_hold_come_to_an_end() -> None:
    shelf = Shelf({f"inv{number}": 1000 for number in range(4000)}, 7)
    shown = await walked(shelf)
    assert len(shown) > 3000  # such rows have no order; what one walk misses, another shows
    assert max(page.take for page in shelf.pages) == 1600


async def test_a_window_shows_what_was_made_in_it() -> None:
    shelf = Shelf({f"inv{number}": 1000 + number for number in range(200)}, 7)
    assert await walked(shelf, start=1100) == {f"inv{number}" for number in range(100, 200)}


async def test_a_page_that_was_not_moved_past_is_read_again() -> None:
    shelf = Shelf({f"inv{number}": 1000 + number for number in range(200)}, 7)
    walk = InvoicePaginator(cast("Greenfield", shelf))
    await walk.read()
    first = await walk.read()
    walk.move(first)
    await walk.read()
    assert [page.end for page in shelf.pages] == [None, None, 1200 - PAGE + 1]


async def test_a_page_without_a_time_cannot_be_passed() -> None:
    walk = InvoicePaginator(cast("Greenfield", Shelf({}, 7)))
    with pytest.raises(BadData):
        walk.move(InvoiceAnswer((), 0, PAGE, None))
