"""Reads the search for the invoices of a crowdfund app: to its end, and past what spoils it.

A page that fails is asked for again with fewer rows, until the invoice that spoils it is alone:
that place is left out and reported, since nothing says which invoice is there. Several of them in
a row may as well be the server that fails. Source: docs/btcpay.md 3.5, docs/containment.md.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from raised.btcpay.client.http_status import QuestionFailed
from raised.btcpay.client.invoice_query import InvoicePage
from raised.errors import BadData, SourceError

_PAGE: Final = 100
_MOST_PAGES: Final = 2_000  # ends the reading of a list that never ends
_MOST_LEFT_OUT_IN_A_ROW: Final = 3


@dataclass(frozen=True, slots=True)
class FoundPage:
    """The ids of the app's invoices on a page of `raw_count` rows.

    `oldest_at`, `newest_at`: the creation times among the rows, Unix seconds.
    """

    ids: frozenset[str]
    raw_count: int
    oldest_at: int | None
    newest_at: int | None


@dataclass(frozen=True, slots=True)
class UnlistedPlace:
    """A place of the list that cannot be read: its invoice was created from `start` to `end`.

    Unix seconds, both inclusive; None where nothing bounds it.
    """

    start: int | None
    end: int | None
    error: SourceError

    def may_hold(self, created_at: int) -> bool:
        """Whether an invoice that was created then may be the one here."""
        is_after = self.start is None or created_at >= self.start
        return is_after and (self.end is None or created_at <= self.end)


@dataclass(frozen=True, slots=True)
class AppInvoices:
    """The ids of an app's invoices, and the places where one more may be."""

    ids: frozenset[str]
    unlisted: tuple[UnlistedPlace, ...] = ()


class AppSearch:
    """One reading of the search. `ask` raises SourceError."""

    def __init__(
        self, ask: Callable[[InvoicePage], Awaitable[FoundPage]], page: InvoicePage
    ) -> None:
        self._ask = ask
        self._first = self._page = replace(page, take=_PAGE)
        self._ids: set[str] = set()
        self._unlisted: list[UnlistedPlace] = []
        self._left_out: list[SourceError] = []  # since the last page that was read
        self._oldest_at = page.end

    async def read(self, pause: Callable[[], Awaitable[object]]) -> AppInvoices | None:
        """The whole list, with a pause between two pages; None when it never ends."""
        for _ in range(_MOST_PAGES):
            try:
                found = await self._ask(self._page)
            except (BadData, QuestionFailed) as error:
                self._shrink(error)
                continue
            self._take(found)
            if found.raw_count < self._page.take:
                return AppInvoices(frozenset(self._ids), tuple(self._unlisted))
            page = self._page.after(found.oldest_at)
            self._page = replace(page, take=min(_PAGE, page.take * 2))
            await pause()
        return None

    def _shrink(self, error: SourceError) -> None:
        """Ask for fewer rows, or leave out the only one. Raises after several in a row."""
        if self._page.take > 1:
            self._page = replace(self._page, take=max(1, self._page.take // 4))
            return
        self._left_out.append(error)
        if len(self._left_out) >= _MOST_LEFT_OUT_IN_A_ROW:
            raise error
        self._page = replace(self._page, skip=self._page.skip + 1)

    def _take(self, found: FoundPage) -> None:
        # A second more on both sides: old rows hold fractions of one.
        after = self._first.start if found.newest_at is None else found.newest_at - 1
        before = None if self._oldest_at is None else self._oldest_at + 1
        self._unlisted += [UnlistedPlace(after, before, error) for error in self._left_out]
        self._left_out.clear()
        self._ids |= found.ids
        if found.oldest_at is not None:
            self._oldest_at = found.oldest_at
