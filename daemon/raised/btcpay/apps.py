"""Which invoices a Crowdfund app of the store made. Only a search tells. Source: btcpay.md 3.5."""

from collections.abc import Sequence

from raised.btcpay.greenfield import Greenfield
from raised.domain.invoice import Invoice


class Apps:
    """The apps that the configuration names. An invoice is made by its app or never.

    What was searched is a stretch of creation times, which only grows: everything made in it was
    there when we searched.
    """

    def __init__(self, apps: tuple[str, ...], server: Greenfield) -> None:
        self._apps = apps
        self._server = server
        self._made: dict[str, set[str]] = {app: set() for app in apps}
        self._since: int | None = None
        self._until = 0
        self._newest: frozenset[str] = frozenset()  # of its last second more may have come

    async def apps_of(self, invoices: Sequence[Invoice]) -> dict[str, frozenset[str]]:
        """The apps of each of these invoices; empty where no app made it.

        Raises SourceError when the search fails.
        """
        if not self._apps:
            return {}
        unknown = [one for one in invoices if not self._is_known(one)]
        if unknown:
            await self._search(unknown)
        return {
            one.id: frozenset(app for app in self._apps if one.id in self._made[app])
            for one in invoices
        }

    def _is_known(self, invoice: Invoice) -> bool:
        if invoice.id in self._newest:
            return True
        return self._since is not None and self._since <= invoice.created_at < self._until

    async def _search(self, invoices: Sequence[Invoice]) -> None:
        first = min(one.created_at for one in invoices)
        last = max(one.created_at for one in invoices)
        since = first if self._since is None else min(first, self._until)
        if self._since is not None and first < self._since:
            since = 0  # we go back in time: page by page the same would be found again and again
        for app in self._apps:
            self._made[app] |= await self._server.app_invoice_ids(app, start=since)
        self._since = since if self._since is None else min(since, self._since)
        if last >= self._until:
            same = self._newest if last == self._until else frozenset[str]()
            self._until = last
            self._newest = same | {one.id for one in invoices if one.created_at == last}
