"""Reads a list of invoices page by page, from the newest to the oldest.

`skip` breaks when rows come or go between two pages, so pages go by creation time. Rows of one
second have no order, so a second that fills a page is asked for again with a larger page. A page
that fails while the server answers other questions is asked for again with half the rows, until
the invoice that spoils it is alone: that is read by smaller questions, or left out and named, and
the reading goes on behind it. Source: docs/btcpay.md 3.2 and 3.3, docs/containment.md.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from raised.btcpay.blame import is_server_at_fault
from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.invoice_query import InvoiceAnswer, InvoicePage
from raised.errors import BadData, SourceError

PAGE: Final = 50
_LARGEST_PAGE: Final = 1600  # only a second with more invoices than these is read with `skip`
_LARGEST_PATIENCE: Final = 16  # pages before a larger one is tried again
# Invoices in a row of which not even the id can be read, before the reading pauses.
_MOST_NAMELESS_IN_A_ROW: Final = 3


class InvoicePaginator:
    """Where the reading of a list is. Every invoice created at `end` or later has been read.

    Read a page, publish it, then `advance`: a page that was not advanced past is read again.
    `nameless`: how many invoices could not be read at all, so that not even their ids are known.
    `is_due`: whether the payments of an invoice that is set aside may be asked for again.
    """

    def __init__(
        self,
        server: Greenfield,
        *,
        statuses: tuple[str, ...] = (),
        start: int | None = None,
        end: int | None = None,
        is_due: Callable[[str], bool] | None = None,
    ) -> None:
        self.end = end
        self.ended = False
        self.nameless = 0
        self._server = server
        self._is_due = is_due
        self._page = InvoicePage(statuses=statuses, start=start, end=end, skip=0, take=PAGE)
        self._size = PAGE  # rows that the server gives at once
        self._size_grew = False
        self._pages_of_size = 0
        self._patience = 1
        self._largest = _LARGEST_PAGE
        self._reads_alone = False
        self._behind: InvoicePage | None = None  # where to continue behind a spoilt place
        self._nameless_in_a_row = 0

    async def read_page(self) -> InvoiceAnswer:
        """The next page. Raises SourceError: the server fails, or too much of the list."""
        while not self._reads_alone:
            try:
                answer = await self._ask(self._page)
            except SourceError as error:
                await self._shrink(error)
            else:
                self._nameless_in_a_row = 0
                return answer
        return await self._read_alone()

    async def _ask(self, page: InvoicePage) -> InvoiceAnswer:
        if self._is_due is None:
            return await self._server.invoices(page)
        return await self._server.invoices(page, self._is_due)

    def advance(self, answer: InvoiceAnswer) -> None:
        """Continue behind this page.

        Raises:
            BadData: no row of the page can be read, so nothing says where to continue.
        """
        behind, self._behind = self._behind, None
        if behind is None and answer.raw_count < self._page.take:
            self.ended = True
            return
        self._grow()
        if behind is not None:
            self._continue(behind)
        elif answer.oldest_at is None:
            self._pass_without_time()
        else:
            # Old versions wrote fractions of a second: more rows of the oldest second may follow.
            self._pass(answer.oldest_at + 1)

    def _pass(self, oldest: int) -> None:
        page = self._page
        if self.end is None or oldest < self.end:
            self._continue(replace(page, end=oldest, skip=0))
        elif self._largest < min(page.take * 2, _LARGEST_PAGE):
            self._reads_alone = True  # a place in this second spoils larger pages
        elif page.take < _LARGEST_PAGE:
            self._page = replace(page, take=page.take * 2)
        else:
            # Half a page of overlap: rows of one second may swap between two answers.
            self._page = replace(page, skip=page.skip + page.take // 2)

    def _continue(self, page: InvoicePage) -> None:
        if page.end != self.end:
            self._largest = _LARGEST_PAGE
        self.end = page.end
        self._page = replace(page, take=self._size)

    def _pass_without_time(self) -> None:
        page = self._page
        if page.take >= PAGE:
            self._size, self._page = PAGE // 2, replace(page, take=PAGE // 2)  # at the next try
            raise BadData(self._server.name, "sent a page of invoices without a time", "bad_answer")
        self._continue(replace(page, skip=page.skip + page.take))

    async def _shrink(self, error: SourceError) -> None:
        """Ask for half the rows, or for none but the first. Raises when the server is at fault."""
        if await is_server_at_fault(self._server, error):
            raise error
        half = self._page.take // 2
        if half == 0:
            self._reads_alone = True
            return
        if self._size_grew:
            self._patience = min(_LARGEST_PATIENCE, self._patience * 2)
        self._size_grew, self._pages_of_size = False, 0
        self._largest, self._size = half, min(half, PAGE)
        self._page = replace(self._page, take=half)

    def _grow(self) -> None:
        """After enough pages of a smaller size, try twice as many rows."""
        self._pages_of_size += 1
        self._size_grew = self._size < PAGE and self._pages_of_size >= self._patience
        if self._size_grew:
            self._size, self._pages_of_size = min(PAGE, self._size * 2), 0

    async def _read_alone(self) -> InvoiceAnswer:
        """The invoice that spoils every page it is on, with all others of its second.

        Without their payments they may be shown, and those may be had one by one.
        """
        heads, reaches_end_of_second = await self._read_heads()
        self._reads_alone = False
        if heads.newest_at is None:
            return self._pass_nameless(heads)
        self._nameless_in_a_row = 0
        page, newest = self._page, heads.newest_at
        # With the second before: old rows hold fractions of one.
        group = tuple(row for row in heads.invoices if row.created_at >= newest - 1)
        if not reaches_end_of_second:
            self._behind = replace(page, skip=page.skip + heads.raw_count)
        elif heads.raw_count >= page.take or (heads.oldest_at or 0) < newest - 1:
            self._behind = replace(page, end=newest - 1, skip=0)
        return await self._completed(replace(heads, invoices=group))

    async def _read_heads(self) -> tuple[InvoiceAnswer, bool]:
        """The rows from here on without payments, and whether a whole second is among them.

        No rows and no time when even the first one alone cannot be had.
        """
        heads = InvoiceAnswer((), 0, 1, None)
        take = 1
        while True:
            page = replace(self._page, take=take)
            try:
                heads = await self._server.invoice_heads(page)
            except SourceError as error:
                if await is_server_at_fault(self._server, error):
                    raise
                return heads, False
            self._page = page
            ends = heads.raw_count < take or (heads.oldest_at or 0) < (heads.newest_at or 0) - 1
            if ends or take >= _LARGEST_PAGE or heads.newest_at is None:
                return heads, ends
            take *= 2

    async def _completed(self, heads: InvoiceAnswer) -> InvoiceAnswer:
        try:
            return await self._server.completed(heads, self._is_due)
        except SourceError as error:
            if await is_server_at_fault(self._server, error):
                raise
            failed = {row.id: error for row in heads.invoices if row.payments is None}
            return replace(heads, failed=failed)

    def _pass_nameless(self, heads: InvoiceAnswer) -> InvoiceAnswer:
        """Leave out the invoice here: nothing says which it is, or when it was made.

        Raises BadData after several in a row: it may be the server that fails at all of them, so
        the reading goes on behind it only after a pause.
        """
        if heads.raw_count == 0:
            return heads
        self.nameless += 1
        self._nameless_in_a_row += 1
        behind = replace(self._page, skip=self._page.skip + 1)
        if self._nameless_in_a_row >= _MOST_NAMELESS_IN_A_ROW:
            self._nameless_in_a_row = 0
            self._continue(behind)
            sentence = "does not show several invoices in a row: look into the server's log"
            raise BadData(self._server.name, sentence, "bad_answer")
        self._behind = behind
        return InvoiceAnswer((), 0, 1, None)
