"""Reads a list of invoices page by page, from the newest to the oldest.

`skip` breaks when rows come or go between two pages, so pages go by creation time. Rows of one
second have no order, so a second that fills a page is asked for again with a larger page. Source:
docs/btcpay.md 3.2 and 3.3.
"""

from dataclasses import replace
from typing import Final

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.invoice_query import InvoiceAnswer, InvoicePage
from raised.errors import BadData

PAGE: Final = 50
_LARGEST_PAGE: Final = 1600  # only a second with more invoices than these is read with `skip`


class InvoicePaginator:
    """Where the reading of a list is. Every invoice created at `end` or later has been read.

    Read a page, publish it, then `advance`: a page that was not advanced past is read again.
    """

    def __init__(
        self,
        server: Greenfield,
        *,
        statuses: tuple[str, ...] = (),
        start: int | None = None,
        end: int | None = None,
    ) -> None:
        self.end = end
        self.ended = False
        self._server = server
        self._page = InvoicePage(statuses=statuses, start=start, end=end, skip=0, take=PAGE)

    async def read_page(self) -> InvoiceAnswer:
        """The next page. Raises SourceError."""
        return await self._server.invoices(self._page)

    def advance(self, answer: InvoiceAnswer) -> None:
        """Continue behind this page.

        Raises:
            BadData: no row of the page can be read, so nothing says where to continue.
        """
        page = self._page
        if answer.raw_count < page.take:
            self.ended = True
            return
        if answer.oldest_at is None:
            raise BadData(self._server.name, "sent a page of invoices without a time", "bad_answer")
        # Old versions wrote fractions of a second: more rows of the oldest second may follow.
        oldest = answer.oldest_at + 1
        if self.end is None or oldest < self.end:
            self.end = oldest
            self._page = replace(page, end=oldest, skip=0, take=PAGE)
        elif page.take < _LARGEST_PAGE:
            self._page = replace(page, take=page.take * 2)
        else:
            # Half a page of overlap: rows of one second may swap between two answers.
            self._page = replace(page, skip=page.skip + page.take // 2)
