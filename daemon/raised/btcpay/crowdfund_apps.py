"""Which Crowdfund app of the store made an invoice. Source: docs/btcpay.md 3.5.

No field of an invoice names the app; a text search for the app's invoices does.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from raised.btcpay.client.greenfield import Greenfield
from raised.domain.btcpay.invoice import Invoice

_CACHED_INVOICES: Final = 20_000
# Invoices are searched for by their window in time. A longer window would list too many others.
_LONGEST_GAP_SECONDS: Final = 86_400


class CrowdfundApps:
    """Searches for the configured apps, and caches: which app made an invoice never changes."""

    def __init__(self, apps: tuple[str, ...], server: Greenfield) -> None:
        self._apps = apps
        self._server = server
        self._cache: OrderedDict[str, frozenset[str]] = OrderedDict()

    async def apps_of(self, invoices: Sequence[Invoice]) -> dict[str, frozenset[str]]:
        """The ids of the apps of each of these invoices; empty where no app made it.

        Raises SourceError when a search fails.
        """
        if not self._apps:
            return {}
        unknown = [invoice for invoice in invoices if invoice.id not in self._cache]
        for group in _close_in_time(unknown):
            await self._search(group)
        apps = {invoice.id: self._cache[invoice.id] for invoice in invoices}
        while len(self._cache) > _CACHED_INVOICES:
            self._cache.popitem(last=False)
        return apps

    async def _search(self, invoices: Sequence[Invoice]) -> None:
        # One second more: rows of old versions hold fractions of one (docs/btcpay.md 3.3).
        start, end = invoices[0].created_at, invoices[-1].created_at + 1
        made = {
            app: await self._server.app_invoice_ids(app, start=start, end=end) for app in self._apps
        }
        for invoice in invoices:
            self._cache[invoice.id] = frozenset(
                app for app, ids in made.items() if invoice.id in ids
            )


def _close_in_time(invoices: Sequence[Invoice]) -> Iterator[list[Invoice]]:
    """Groups of invoices, oldest first, without a long gap between two of a group."""
    group: list[Invoice] = []
    for invoice in sorted(invoices, key=lambda invoice: invoice.created_at):
        if group and invoice.created_at - group[-1].created_at > _LONGEST_GAP_SECONDS:
            yield group
            group = []
        group.append(invoice)
    if group:
        yield group
