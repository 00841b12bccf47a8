"""Publishes what the API answered as observations: in order, and completed where needed.

An answer of a server may be older than an answer that was published already, and it leaves out
payments that no longer count. Both are settled here, before an invoice reaches the record.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.invoice_query import InvoicePage
from raised.btcpay.crowdfund_apps import CrowdfundApps
from raised.btcpay.health import LOCKED_OUT, StoreHealth
from raised.btcpay.ports import StoreRecord
from raised.btcpay.uncounted_methods import UncountedMethods
from raised.domain.btcpay.invoice import Invoice
from raised.domain.observation import InvoicesGone, InvoicesSeen, Observation, Sweep
from raised.errors import BadData, Refused, SourceError

Origin = Literal["delivery"] | Sweep


@dataclass(frozen=True, slots=True)
class StoreContext:
    """What everything that follows one store shares. Observations go to `outbox`."""

    label: str
    server: Greenfield
    record: StoreRecord
    health: StoreHealth
    uncounted: UncountedMethods
    outbox: asyncio.Queue[Observation]
    clock: Callable[[], int]


class RequestSequencer:
    """Numbers the requests of one store, to tell which of two answers is the newer one.

    Two requests in flight may show the same invoice, and the older answer may arrive last. The
    answer to the later request wins; seconds are too coarse to tell which one that is.
    """

    def __init__(self) -> None:
        self._last = 0
        self._in_flight: set[int] = set()
        self._newest: dict[str, int] = {}  # invoice id → the latest request that showed it

    @contextmanager
    def request(self) -> Iterator[int]:
        """A request's number: to be taken before it is sent, kept until it is published."""
        self._last += 1
        number = self._last
        self._in_flight.add(number)
        try:
            yield number
        finally:
            self._in_flight.discard(number)
            self._prune()

    def is_newest(self, number: int, invoice_id: str) -> bool:
        """Whether no later request has shown this invoice; from then on this one has."""
        if self._newest.get(invoice_id, 0) > number:
            return False
        self._newest[invoice_id] = number
        return True

    def _prune(self) -> None:
        """Drop the entries that no request still in flight could contradict."""
        oldest = min(self._in_flight, default=self._last + 1)
        outdated = [key for key, number in self._newest.items() if number < oldest]
        for invoice_id in outdated:
            del self._newest[invoice_id]


class InvoicePublisher:
    """The only way of invoices to the outbox. Cancelled, it may have published nothing."""

    def __init__(self, context: StoreContext, apps: CrowdfundApps) -> None:
        self._context = context
        self._apps = apps
        # A full queue does not keep the order of those that wait to put something into it.
        self._outbox_lock = asyncio.Lock()
        self.sequencer = RequestSequencer()

    async def fetch_and_publish(self, invoice_id: str, origin: Origin) -> bool:
        """Fetch one invoice and publish it; False when the server does not have it any more.

        Raises SourceError.
        """
        with self.sequencer.request() as number:
            answer = await self._fetch(invoice_id)
            if answer is None:
                await self._publish_gone(number, invoice_id)
                return False
            invoice, asked_at = answer
            await self.publish(number, origin, asked_at, (invoice,))
        return True

    async def publish(
        self, number: int, origin: Origin, asked_at: int, invoices: Sequence[Invoice]
    ) -> None:
        """Publish the invoices that this request showed and no later request has shown yet.

        Raises SourceError: a stored payment is not in the answer, and asking for it failed.
        """
        completed = [
            await self._with_uncounted_payments(invoice, stored)
            for invoice, stored in await self._with_stored_payments(invoices)
        ]
        apps = await self._apps_of(completed)
        context = self._context
        async with self._outbox_lock:
            newest = tuple(
                invoice for invoice in completed if self.sequencer.is_newest(number, invoice.id)
            )
            if newest:
                context.uncounted.add_invoices(newest)
                known = {invoice.id: apps[invoice.id] for invoice in newest if invoice.id in apps}
                await context.outbox.put(
                    InvoicesSeen(context.label, context.clock(), asked_at, origin, newest, known)
                )

    async def _fetch(self, invoice_id: str) -> tuple[Invoice, int] | None:
        """The invoice and when it was asked for; None when the server does not have it.

        From 2.4 on 403 may mean either a lost permission or an unknown id: whether a list works
        tells which (docs/btcpay.md 9.2).
        """
        server = self._context.server
        try:
            return await server.invoice(invoice_id)
        except Refused as error:
            if error.code not in LOCKED_OUT or error.code == "unauthenticated":
                raise
            await server.invoices(InvoicePage(take=1))  # raises when the permission is lost
            if error.code == "missing_permission":
                return await self._fetch_again(invoice_id)
            raise BadData(error.source, error.detail, "bad_answer") from error

    async def _fetch_again(self, invoice_id: str) -> tuple[Invoice, int] | None:
        """The invoice, or None when it is refused though the key may list invoices.

        Asked again because the permission may have been given between the refusal and the list.
        """
        try:
            return await self._context.server.invoice(invoice_id)
        except Refused as error:
            if error.code == "missing_permission":
                return None
            raise

    async def _publish_gone(self, number: int, invoice_id: str) -> None:
        context = self._context
        async with self._outbox_lock:
            if self.sequencer.is_newest(number, invoice_id):
                await context.outbox.put(
                    InvoicesGone(context.label, context.clock(), (invoice_id,))
                )

    async def _with_stored_payments(
        self, invoices: Sequence[Invoice]
    ) -> list[tuple[Invoice, frozenset[tuple[str, str]]]]:
        """Each invoice with the stored payments that count for it.

        Empty where the answer says nothing of payments: then none can be missing from it.
        """
        context = self._context
        ids = [invoice.id for invoice in invoices if invoice.payments is not None]
        stored = await context.record.counting_payments(context.label, ids) if ids else {}
        return [(invoice, stored.get(invoice.id, frozenset())) for invoice in invoices]

    async def _with_uncounted_payments(
        self, invoice: Invoice, stored: frozenset[tuple[str, str]]
    ) -> Invoice:
        """With the payments that count no longer, where the answer lacks a stored one."""
        shown = {(payment.method, payment.id) for payment in invoice.payments or ()}
        if stored <= shown or invoice.unreadable_payments:
            return invoice
        try:
            payments = await self._context.server.payments(invoice.id, accounted_only=False)
        except (Refused, BadData) as error:
            if error.code == "unauthenticated":
                raise
            return invoice  # the list without the payment is all there is
        return replace(invoice, payments=payments.rows, unreadable_payments=payments.unreadable)

    async def _apps_of(self, invoices: Sequence[Invoice]) -> dict[str, frozenset[str]]:
        """Their crowdfund apps; empty when the search fails, which must not delay invoices."""
        health = self._context.health
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
