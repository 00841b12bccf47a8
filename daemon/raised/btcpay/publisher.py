"""What an answer showed, on its way to the record: in order, and with what it left out."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.invoice_query import InvoicePage
from raised.btcpay.crowdfund_apps import CrowdfundApps
from raised.btcpay.health import LOCKED_OUT, StoreHealth
from raised.btcpay.ports import StoreRecord
from raised.btcpay.sequence import RequestSequencer
from raised.domain.btcpay.invoice import Invoice
from raised.domain.observation import InvoicesGone, InvoicesSeen, Observation, Sweep
from raised.errors import BadData, Refused, SourceError

Origin = Literal["delivery"] | Sweep


@dataclass(frozen=True, slots=True)
class StoreContext:
    """What all that follows one store works with. `outbox` is where its observations go."""

    label: str
    server: Greenfield
    record: StoreRecord
    health: StoreHealth
    outbox: asyncio.Queue[Observation]
    clock: Callable[[], int]


class InvoicePublisher:
    """The only way of invoices to the outbox. Cancelled before it returns, it may tell nothing."""

    def __init__(self, follower: StoreContext, apps: CrowdfundApps) -> None:
        self._follower = follower
        self._apps = apps
        self._order = asyncio.Lock()  # a full outbox does not keep the order of who waits
        self.turns = RequestSequencer()

    async def fetch(self, invoice_id: str, origin: Origin) -> bool:
        """Ask for one invoice and tell of it; False when the server does not show it any more.

        Raises SourceError.
        """
        with self.turns.turn() as turn:
            answer = await self._ask(invoice_id)
            if answer is None:
                await self._tell_gone(turn, invoice_id)
                return False
            invoice, asked_at = answer
            await self.tell(turn, origin, asked_at, (invoice,))
        return True

    async def tell(
        self, turn: int, origin: Origin, asked_at: int, invoices: Sequence[Invoice]
    ) -> None:
        """Tell what the request of this turn showed, unless a later one has shown it already.

        Raises SourceError: a payment is missing, and the server would not say what became of it.
        """
        whole = [await self._whole(invoice) for invoice in await self._with_held(invoices)]
        apps = await self._apps_of(whole)
        me = self._follower
        async with self._order:
            news = tuple(one for one in whole if self.turns.is_news(turn, one.id))
            if news:
                told = {one.id: apps[one.id] for one in news if one.id in apps}
                await me.outbox.put(
                    InvoicesSeen(me.label, me.clock(), asked_at, origin, news, told)
                )

    async def _ask(self, invoice_id: str) -> tuple[Invoice, int] | None:
        """The invoice as the server shows it. A server may forbid what it does not have (9.2)."""
        server = self._follower.server
        try:
            return await server.invoice(invoice_id)
        except Refused as error:
            if error.code not in LOCKED_OUT or error.code == "unauthenticated":
                raise
            await server.invoices(InvoicePage(take=1))  # refused, too: it is not this invoice
            if error.code == "missing_permission":
                return None
            raise BadData(error.source, error.detail, "bad_answer") from error

    async def _tell_gone(self, turn: int, invoice_id: str) -> None:
        me = self._follower
        async with self._order:
            if self.turns.is_news(turn, invoice_id):
                await me.outbox.put(InvoicesGone(me.label, me.clock(), (invoice_id,)))

    async def _with_held(
        self, invoices: Sequence[Invoice]
    ) -> list[tuple[Invoice, frozenset[tuple[str, str]]]]:
        """Each with the payments that the record counts on."""
        me = self._follower
        telling = [one.id for one in invoices if one.payments is not None]
        held = await me.record.counting_payments(me.label, telling) if telling else {}
        return [(one, held.get(one.id, frozenset())) for one in invoices]

    async def _whole(self, known: tuple[Invoice, frozenset[tuple[str, str]]]) -> Invoice:
        """With the payments that count no longer, where one that we hold is missing."""
        invoice, held = known
        shown = {(one.method, one.id) for one in invoice.payments or ()}
        if held <= shown or invoice.unread_payments:
            return invoice
        try:
            payments = await self._follower.server.payments(invoice.id, accounted_only=False)
        except (Refused, BadData) as error:
            if error.code == "unauthenticated":
                raise
            return invoice  # the list that leaves the payment out is all we have
        return replace(invoice, payments=payments.rows, unread_payments=payments.unread)

    async def _apps_of(self, invoices: Sequence[Invoice]) -> dict[str, frozenset[str]]:
        """Their apps, where they can be known now: nothing shall wait for a search."""
        health = self._follower.health
        try:
            apps = await self._apps.apps_of(invoices)
        except SourceError as error:
            health.begin_problem(
                "crowdfund",
                f"invoices of crowdfund apps cannot be told from others: {error.detail}",
            )
            return {}
        health.end_problem("crowdfund")
        return apps
