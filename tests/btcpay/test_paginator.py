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


class ChangingList:
    """A server's list as it answers, with something that happens before every answer."""

    name = "shop"

    def __init__(self, times: dict[str, int], seed: int) -> None:
        self.times = times
        self.dice = random.Random(seed)
        self.before_answer: Callable[[], None] = lambda: None
        self.pages: list[InvoicePage] = []

    async def invoices(self, page: InvoicePage) -> InvoiceAnswer:
        self.before_answer()
        self.pages.append(page)
        listed = [
            (at, key)
            for key, at in self.times.items()
            if (page.start is None or at >= page.start) and (page.end is None or at <= page.end)
        ]
        self.dice.shuffle(listed)
        listed.sort(key=lambda row: -row[0])
        rows = listed[page.skip : page.skip + page.take]
        invoices = tuple(replace(ROW, id=key, created_at=at) for at, key in rows)
        return InvoiceAnswer(invoices, 0, len(rows), min((at for at, _ in rows), default=None))


async def read_all(server: ChangingList, start: int | None = None) -> set[str]:
    paginator = InvoicePaginator(cast("Greenfield", server), start=start)
    shown: set[str] = set()
    for _ in range(500):
        answer = await paginator.read_page()
        shown.update(invoice.id for invoice in answer.invoices)
        paginator.advance(answer)
        if paginator.ended:
            return shown
    raise AssertionError("the reading never ends")


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
    server = ChangingList(dict(times), seed)
    leaves = [key for key in times if key.endswith("7")] if goes else []

    def change() -> None:
        if comes:
            server.times[f"new{len(server.pages)}"] = 1011 + len(server.pages)
        for key in leaves[:3]:
            server.times.pop(key, None)
            leaves.remove(key)

    server.before_answer = change
    shown = await read_all(server)
    stays = {key for key in times if not (goes and key.endswith("7"))}
    assert stays <= shown


async def test_more_rows_in_a_second_than_an_answer_may_hold_come_to_an_end() -> None:
    server = ChangingList({f"inv{number}": 1000 for number in range(4000)}, 7)
    shown = await read_all(server)
    assert len(shown) > 3000  # such rows have no order; what one reading misses, another shows
    assert max(page.take for page in server.pages) == 1600


async def test_a_window_shows_what_was_made_in_it() -> None:
    server = ChangingList({f"inv{number}": 1000 + number for number in range(200)}, 7)
    assert await read_all(server, start=1100) == {f"inv{number}" for number in range(100, 200)}


async def test_a_page_that_was_not_advanced_past_is_read_again() -> None:
    server = ChangingList({f"inv{number}": 1000 + number for number in range(200)}, 7)
    paginator = InvoicePaginator(cast("Greenfield", server))
    await paginator.read_page()
    first = await paginator.read_page()
    paginator.advance(first)
    await paginator.read_page()
    assert [page.end for page in server.pages] == [None, None, 1200 - PAGE + 1]


async def test_a_page_without_a_time_cannot_be_passed() -> None:
    paginator = InvoicePaginator(cast("Greenfield", ChangingList({}, 7)))
    with pytest.raises(BadData):
        paginator.advance(InvoiceAnswer((), 0, PAGE, None))
