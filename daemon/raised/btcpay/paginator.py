"""A list of invoices read to its end, from the newest to the oldest.

`skip` breaks when rows come or go between two pages, so pages go by time; rows of one second have
no order, so a second that fills a page is asked for again, larger. Source: btcpay.md 3.2 and 3.3.
"""

from dataclasses import replace
from typing import Final

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.invoice_query import InvoiceAnswer, InvoicePage
from raised.errors import BadData

PAGE: Final = 50
_MOST: Final = 1600  # rows of one answer; only more than these in one second are skipped over


class InvoicePaginator:
    """Where a reading of a list is. `end`: everything created from it on has been seen.

    Read a page, do with it what must be done, then `move`: a page that was not moved past is read
    again.
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

    async def read(self) -> InvoiceAnswer:
        """The page that comes next. Raises SourceError."""
        return await self._server.invoices(self._page)

    def move(self, answer: InvoiceAnswer) -> None:
        """Go on behind this page.

        Raises:
            BadData: none of its rows can be read, so nothing says where to go on.
        """
        page = self._page
        if answer.raw_count < page.take:
            self.ended = True
            return
        if answer.oldest_at is None:
            raise BadData(self._server.name, "sent a page of invoices without a time", "bad_answer")
        # Old versions wrote fractions of a second: of its own second more may be to come.
        oldest = answer.oldest_at + 1
        if self.end is None or oldest < self.end:
            self.end = oldest
            self._page = replace(page, end=oldest, skip=0, take=PAGE)
        elif page.take < _MOST:
            self._page = replace(page, take=page.take * 2)
        else:
            self._page = replace(page, skip=page.skip + page.take // 2)
