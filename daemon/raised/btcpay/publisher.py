"""Publishes what the API answered as observations: in order, and completed where needed.

An answer of a server may be older than an answer that was published already, and it leaves out
payments that no longer count. Both are settled here, before an invoice reaches the record.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from raised.btcpay.blame import is_server_at_fault, wanted_wait
from raised.btcpay.client.greenfield import Greenfield
from raised.btcpay.client.invoice_query import InvoiceAnswer
from raised.btcpay.crowdfund_apps import CROWDFUND, CrowdfundApps
from raised.btcpay.health import LOCKED_OUT, StoreHealth
from raised.btcpay.oddities import Oddities
from raised.btcpay.ports import StoreRecord
from raised.btcpay.set_aside import InvoicesSetAside
from raised.btcpay.settings import StoreTiming
from raised.btcpay.uncounted_methods import UncountedMethods
from raised.domain.btcpay.invoice import Invoice
from raised.domain.observation import InvoicesGone, InvoicesSeen, Observation, Sweep
from raised.errors import BadData, Refused, SourceError
from raised.net.backoff import Backoff

Origin = Literal["delivery"] | Sweep


@dataclass(frozen=True, slots=True)
class StoreContext:
    """What everything that follows one store shares. Observations go to `outbox`."""

    label: str
    server: Greenfield
    record: StoreRecord
    health: StoreHealth
    set_aside: InvoicesSetAside
    oddities: Oddities
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

    def __init__(self, context: StoreContext, apps: CrowdfundApps, timing: StoreTiming) -> None:
        self._context = context
        self._apps = apps
        self._apps_backoff = Backoff(timing.first_retry, timing.longest_retry)
        # A full queue does not keep the order of those that wait to put something into it.
        self._outbox_lock = asyncio.Lock()
        self.sequencer = RequestSequencer()

    async def fetch_or_set_aside(self, invoice_id: str, origin: Origin) -> bool | None:
        """As `fetch_and_publish`; None when this invoice alone cannot be read, and is set aside.

        Raises SourceError when the server answers nothing else either.
        """
        context = self._context
        try:
            return await self.fetch_and_publish(invoice_id, origin)
        except SourceError as error:
            if await is_server_at_fault(context.server, error):
                raise
            context.set_aside.on_failure(invoice_id, error)
            return None

    async def fetch_and_publish(self, invoice_id: str, origin: Origin) -> bool:
        """Fetch one invoice and publish it; False when the server does not have it any more.

        Raises SourceError.
        """
        with self.sequencer.request() as number:
            answer = await self._fetch(invoice_id)
            if answer is None:
                await self._publish_gone(number, invoice_id)
                return False
            await self.publish(number, origin, answer, is_by_id=True)
        return True

    async def publish(
        self, number: int, origin: Origin, answer: InvoiceAnswer, *, is_by_id: bool = False
    ) -> None:
        """Publish the invoices that this request showed and no later request has shown yet.

        What could not be read of them is set aside. `is_by_id`: one invoice alone was asked for; a
        list that meets one again that is set aside does not delay its next try.
        """
        completed = await self._completed(answer)
        apps = await self._apps_of(completed.invoices)
        context = self._context
        async with self._outbox_lock:
            newest = tuple(
                invoice
                for invoice in completed.invoices
                if self.sequencer.is_newest(number, invoice.id)
            )
            self._note(newest, completed, is_by_id=is_by_id)
            if newest:
                context.uncounted.add_invoices(newest)
                known = {invoice.id: apps[invoice.id] for invoice in newest if invoice.id in apps}
                await context.outbox.put(
                    InvoicesSeen(
                        context.label, context.clock(), answer.asked_at, origin, newest, known
                    )
                )

    def _note(self, invoices: Sequence[Invoice], answer: InvoiceAnswer, *, is_by_id: bool) -> None:
        """Note which invoices were read whole, which are set aside, and what is odd."""
        set_aside = self._context.set_aside
        for invoice in invoices:
            if invoice.id in answer.failed:
                error = answer.failed[invoice.id]
                set_aside.on_payments_failure(invoice.id, error, is_try=is_by_id)
            elif invoice.unreadable_payments:
                set_aside.on_unreadable(invoice.id, is_try=is_by_id)
            elif invoice.payments is not None:
                set_aside.on_success(invoice.id)
        for invoice_id in filter(None, answer.unreadable_ids):
            set_aside.on_unreadable(invoice_id, is_try=is_by_id)
        self._context.oddities.see_invoices(invoices)

    async def _fetch(self, invoice_id: str) -> InvoiceAnswer | None:
        """The invoice; None when the server does not have it.

        From 2.4 on 403 may mean either a lost permission or an unknown id: whether a list works
        tells which (docs/btcpay.md 9.2).
        """
        server = self._context.server
        try:
            return await server.invoice(invoice_id)
        except Refused as error:
            if error.code not in LOCKED_OUT or error.code == "unauthenticated":
                raise
            await server.check_access()  # raises when the permission is lost
            if error.code == "missing_permission":
                return await self._fetch_again(invoice_id)
            raise BadData(error.source, error.detail, "bad_answer") from error

    async def _fetch_again(self, invoice_id: str) -> InvoiceAnswer | None:
        """The invoice, or None when it is refused though the key may list invoices.

        Asked again because the permission may have been given between the refusal and the list.
        """
        try:
            return await self._context.server.invoice(invoice_id)
        except Refused as error:
            is_shown = invoice_id in self._context.set_aside  # by a list, or by itself
            if error.code == "missing_permission" and not is_shown:
                return None
            raise

    async def _publish_gone(self, number: int, invoice_id: str) -> None:
        context = self._context
        async with self._outbox_lock:
            if self.sequencer.is_newest(number, invoice_id):
                context.set_aside.on_success(invoice_id)
                await context.outbox.put(
                    InvoicesGone(context.label, context.clock(), (invoice_id,))
                )

    async def _completed(self, answer: InvoiceAnswer) -> InvoiceAnswer:
        """The answer with the stored payments that it lacks, as the server shows those now.

        Where those cannot be had, the list without them is all there is.
        """
        context = self._context
        # Where the answer says nothing of payments, none can be missing from it.
        ids = [invoice.id for invoice in answer.invoices if invoice.payments is not None]
        stored = await context.record.counting_payments(context.label, ids) if ids else {}
        invoices: list[Invoice] = []
        failed = dict(answer.failed)
        for invoice in answer.invoices:
            try:
                lacks = _lacks(invoice, stored.get(invoice.id, frozenset()))
                invoices.append(await self._with_uncounted(invoice) if lacks else invoice)
            except SourceError as error:
                if await is_server_at_fault(context.server, error):
                    raise
                invoices.append(invoice)
                failed[invoice.id] = error
        return replace(answer, invoices=tuple(invoices), failed=failed)

    async def _with_uncounted(self, invoice: Invoice) -> Invoice:
        payments = await self._context.server.payments(invoice.id, accounted_only=False)
        return replace(invoice, payments=payments.rows, unreadable_payments=payments.unreadable)

    async def _apps_of(self, invoices: Sequence[Invoice]) -> dict[str, frozenset[str]]:
        """Their crowdfund apps; empty when the search fails, which must not delay invoices."""
        health = self._context.health
        if not self._apps_backoff.is_due():
            return {}
        try:
            apps = await self._apps.apps_of(invoices)
        except SourceError as error:
            self._apps_backoff.on_failure(wanted_wait(error))
            health.begin_problem(
                CROWDFUND,
                f"invoices of crowdfund apps cannot be told from others: {error.detail}",
            )
            return {}
        self._apps_backoff.on_success()
        health.end_problem(CROWDFUND)
        health.changed.set()  # single invoices may have been set aside, or found
        return apps


def _lacks(invoice: Invoice, stored: frozenset[tuple[str, str]]) -> bool:
    """Whether a stored payment that counts is missing from this answer."""
    shown = {(payment.method, payment.id) for payment in invoice.payments or ()}
    return not stored <= shown and not invoice.unreadable_payments
