"""Which Crowdfund app of the store made an invoice. Source: docs/btcpay.md 3.5.

No field of an invoice names the app; a text search for the app's invoices does.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from raised.btcpay.blame import wanted_wait
from raised.btcpay.client.app_search import AppInvoices
from raised.btcpay.client.greenfield import Greenfield
from raised.domain.btcpay.invoice import Invoice
from raised.errors import SourceError
from raised.net.set_aside import SetAside

_CACHED_INVOICES: Final = 20_000
# Invoices are searched for by their window in time. A longer window would list too many others.
_LONGEST_GAP_SECONDS: Final = 86_400
CROWDFUND: Final = "crowdfund"
_UNKNOWN: Final = (
    "whether a crowdfund app made an invoice cannot be told, so a campaign may lack it: the search"
    " for the app's invoices does not show it, the server {}; look at it there"
)


class CrowdfundApps:
    """Searches for the configured apps, and caches: which app made an invoice never changes.

    An invoice that may be at a place that the search does not show is searched for again, and is in
    `set_aside` until then.
    """

    def __init__(self, apps: tuple[str, ...], server: Greenfield, set_aside: SetAside) -> None:
        self._apps = apps
        self._server = server
        self._set_aside = set_aside
        self._cache: OrderedDict[str, frozenset[str]] = OrderedDict()

    async def apps_of(self, invoices: Sequence[Invoice]) -> dict[str, frozenset[str]]:
        """The ids of the apps of each of these invoices; empty where no app made it.

        Those of which that cannot be told now are left out. Raises SourceError when a search fails.
        """
        if not self._apps:
            return {}
        unknown = [
            invoice
            for invoice in invoices
            if invoice.id not in self._cache and self._set_aside.is_due(invoice.id)
        ]
        for group in _close_in_time(unknown):
            await self._search(group)
        apps = {row.id: self._cache[row.id] for row in invoices if row.id in self._cache}
        while len(self._cache) > _CACHED_INVOICES:
            self._cache.popitem(last=False)
        return apps

    async def _search(self, invoices: Sequence[Invoice]) -> None:
        # One second more: rows of old versions hold fractions of one (docs/btcpay.md 3.3).
        start, end = invoices[0].created_at, invoices[-1].created_at + 1
        made = {
            app: await self._server.app_invoices(app, start=start, end=end) for app in self._apps
        }
        for invoice in invoices:
            error = _why_unknown(invoice, made.values())
            if error is not None:
                detail, wait = _UNKNOWN.format(error.detail), wanted_wait(error)
                self._set_aside.on_failure(invoice.id, CROWDFUND, detail, wait)
                continue
            self._set_aside.on_success(invoice.id)
            self._cache[invoice.id] = frozenset(
                app for app, found in made.items() if invoice.id in found.ids
            )


def _why_unknown(invoice: Invoice, made: Iterable[AppInvoices]) -> SourceError | None:
    """Why it cannot be told whether an app made this invoice; None when it can."""
    for found in made:
        if invoice.id not in found.ids:
            for place in found.unlisted:
                if place.may_hold(invoice.created_at):
                    return place.error
    return None


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
