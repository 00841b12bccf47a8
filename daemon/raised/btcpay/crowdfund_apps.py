"""Which invoices a Crowdfund app of the store made. Only a search tells. Source: btcpay.md 3.5."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from raised.btcpay.client.greenfield import Greenfield
from raised.domain.btcpay.invoice import Invoice

_REMEMBERED: Final = 20_000
_FAR_APART: Final = 86_400  # seconds between two invoices that are not searched for together


class CrowdfundApps:
    """The apps that the configuration names. An invoice is made by its app, or by none for ever."""

    def __init__(self, apps: tuple[str, ...], server: Greenfield) -> None:
        self._apps = apps
        self._server = server
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()

    async def apps_of(self, invoices: Sequence[Invoice]) -> dict[str, frozenset[str]]:
        """The apps of each of these invoices; empty where no app made it.

        Raises SourceError when the search fails.
        """
        if not self._apps:
            return {}
        for near in _near_in_time(one for one in invoices if one.id not in self._known):
            await self._search(near)
        found = {one.id: self._known[one.id] for one in invoices}
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _search(self, invoices: Sequence[Invoice]) -> None:
        # Rows of old versions hold fractions of a second (btcpay.md 3.3).
        start, end = invoices[0].created_at, invoices[-1].created_at + 1
        made = {
            app: await self._server.app_invoice_ids(app, start=start, end=end) for app in self._apps
        }
        for one in invoices:
            self._known[one.id] = frozenset(app for app, ids in made.items() if one.id in ids)


def _near_in_time(invoices: Iterator[Invoice]) -> Iterator[list[Invoice]]:
    """Stretches of invoices, oldest first, without a long time between two of them."""
    stretch: list[Invoice] = []
    for one in sorted(invoices, key=lambda one: one.created_at):
        if stretch and one.created_at - stretch[-1].created_at > _FAR_APART:
            yield stretch
            stretch = []
        stretch.append(one)
    if stretch:
        yield stretch
