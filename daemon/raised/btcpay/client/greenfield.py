"""BTCPay's Greenfield API, one typed method for each call. Source: docs/btcpay.md."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar, cast
from urllib.parse import quote

from raised.btcpay.client import server_json
from raised.btcpay.client.app_search import AppInvoices, AppSearch, FoundPage
from raised.btcpay.client.crowdfund_json import app_invoice_id, search_term
from raised.btcpay.client.http import (
    ONE_INVOICE,
    PAGE,
    SMALL,
    WHOLE_LIST,
    WITH_PAYMENT_METHODS,
    GreenfieldHttp,
    RetryPolicy,
)
from raised.btcpay.client.http_status import Forbidden, Gone, bad_answer
from raised.btcpay.client.invoice_payments import PaymentsOfInvoices
from raised.btcpay.client.invoice_query import InvoiceAnswer, InvoicePage
from raised.btcpay.client.invoices_json import parse_invoice, parse_payments
from raised.btcpay.client.json_fields import (
    ParsedRows,
    is_identifier,
    optional_timestamp,
    parse_rows,
)
from raised.btcpay.client.payouts_json import parse_payout, parse_pull_payment
from raised.btcpay.client.server_json import SentDelivery, ServerInfo, StoreTerms, Webhook
from raised.btcpay.settings import StoreSettings
from raised.clock import now
from raised.domain.btcpay.invoice import Invoice, Payment, Payout, PullPayment
from raised.domain.json_object import JsonObject, as_object
from raised.errors import BadData, InvalidInput
from raised.net.http_client import Query, Transport
from raised.net.source_health import HostStats

T = TypeVar("T")

BAD_INVOICE: Final = "bad_invoice"
BAD_PAYMENT: Final = "bad_payment"
BAD_ROW: Final = "bad_row"


class Greenfield:
    """One store. `request_slots` bounds the requests under way to a server: its stores share it.

    Every call raises Unavailable, Refused (Forbidden, Gone and NoRoute are kinds of it) or BadData;
    failures are counted in `stats`.
    """

    def __init__(
        self,
        settings: StoreSettings,
        *,
        transport: Transport | None = None,
        request_slots: asyncio.Semaphore | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._http = GreenfieldHttp(
            settings, transport=transport, request_slots=request_slots, retry_policy=retry_policy
        )
        self._store = f"stores/{quote(settings.store_id, safe='')}"

    @property
    def name(self) -> str:
        """The store's label."""
        return self._settings.label

    @property
    def stats(self) -> HostStats:
        """How the server did lately."""
        return self._http.stats

    @property
    def skew_seconds(self) -> int | None:
        """Seconds that the server's clock is ahead of ours; None when it sends no Date."""
        return self._http.skew_seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def is_synchronized(self) -> bool:
        """Whether the server's node has all blocks. Source: GET /health."""
        return await self._object("health", server_json.parse_synchronized)

    async def server(self) -> ServerInfo:
        """Version and synchronisation. Source: GET /server/info."""
        return await self._object("server/info", server_json.parse_server_info)

    async def permissions(self) -> frozenset[str]:
        """What the key may do, as `policy` or `policy:storeId`. Source: GET /api-keys/current."""
        return await self._object("api-keys/current", server_json.parse_permissions)

    async def store_terms(self) -> StoreTerms | None:
        """How long its invoices live; None if the key may not read it. Source: GET /stores/:id."""
        try:
            return await self._object(self._store, server_json.parse_store_terms)
        except Forbidden:
            return None

    async def check_access(self) -> None:
        """Ask for no invoices at all: raises SourceError unless the key may list them.

        No invoice can spoil this answer, so it tells whether the server or the question is to
        blame when another request fails.
        """
        if not isinstance(await self._http.check(), list):
            raise self._record_bad_answer()

    async def invoices(
        self, page: InvoicePage, is_due: Callable[[str], bool] | None = None
    ) -> InvoiceAnswer:
        """A page of invoices, archived ones too, with their payments.

        Where the server does not send payments with the list (before 2.3.6), they are fetched for
        each invoice that may have some and `is_due`. Source: GET /stores/:id/invoices.
        """
        asked_at = now()
        listed = await self._list_invoices(page, WITH_PAYMENT_METHODS)
        return await self.completed(self._heads(listed, asked_at), is_due)

    async def invoice_heads(self, page: InvoicePage) -> InvoiceAnswer:
        """A page of invoices, of most without their payments: a smaller question.

        Source: GET /stores/:id/invoices.
        """
        asked_at = now()
        return self._heads(await self._list_invoices(page), asked_at)

    async def completed(
        self, heads: InvoiceAnswer, is_due: Callable[[str], bool] | None = None
    ) -> InvoiceAnswer:
        """The answer with the payments that it lacks, of the invoices that are due."""
        filled = await PaymentsOfInvoices(self.payments, is_due).fill(heads.invoices)
        unreadable = sum(row.unreadable_payments > 0 for row in filled.invoices)
        if unreadable:
            self.stats.record_error(BAD_PAYMENT, "sent a payment that cannot be read", unreadable)
        bad = {**heads.bad, BAD_PAYMENT: unreadable}
        return replace(
            heads,
            invoices=filled.invoices,
            bad={code: count for code, count in bad.items() if count},
            failed=filled.failed,
        )

    async def invoice(self, invoice_id: str) -> InvoiceAnswer | None:
        """One invoice with its payments; None when it is gone.

        Raises Forbidden: gone or not to be seen; whether a list works tells (docs/btcpay.md 9.2).
        Source: GET /stores/:id/invoices/:id.
        """
        if not is_identifier(invoice_id):
            return None
        asked_at = now()
        path = f"{self._store}/invoices/{invoice_id}"
        try:
            invoice = await self._object(path, self._invoice, WITH_PAYMENT_METHODS, ONE_INVOICE)
        except Gone:
            return None
        if invoice.id != invoice_id:
            raise self._record_bad_answer()
        return await self.completed(InvoiceAnswer((invoice,), asked_at, 1, invoice.created_at))

    async def payments(self, invoice_id: str, *, accounted_only: bool) -> ParsedRows[Payment]:
        """An invoice's payments, also those that count no more unless `accounted_only`.

        Source: GET /stores/:id/invoices/:id/payment-methods.
        """
        if not is_identifier(invoice_id):
            raise Gone(self.name)
        path = f"{self._store}/invoices/{invoice_id}/payment-methods"
        query = (("onlyAccountedPayments", str(accounted_only).lower()),)
        read = partial(parse_payments, bitcoin_methods=self._settings.bitcoin_methods)
        return self._parse(await self._http.get(path, query), read)

    async def app_invoices(
        self, app_id: str, *, start: int | None = None, end: int | None = None
    ) -> AppInvoices:
        """The invoices that a crowdfund app made from `start` to `end`, both inclusive.

        Source: GET /stores/:id/invoices with textSearch.
        """
        page = InvoicePage(start=start, end=end, text=search_term(app_id))
        search = AppSearch(partial(self._app_page, app_id), page)
        found = await search.read(partial(asyncio.sleep, self._http.retry_policy.page_seconds))
        if found is None:
            raise self._record_bad_answer()
        return found

    async def _app_page(self, app_id: str, page: InvoicePage) -> FoundPage:
        listed = await self._list_invoices(page)
        ids = self._parse_rows(listed, partial(app_invoice_id, app_id)).rows
        times = _times(listed)
        return FoundPage(
            frozenset(invoice_id for invoice_id in ids if invoice_id is not None),
            len(listed),
            min(times, default=None),
            max(times, default=None),
        )

    async def pull_payments(self) -> ParsedRows[PullPayment]:
        """All pull payments, such as refunds. Source: GET /stores/:id/pull-payments."""
        query = (("includeArchived", "true"),)
        return await self._list(f"{self._store}/pull-payments", parse_pull_payment, query)

    async def payouts(self) -> ParsedRows[Payout]:
        """All payouts, paid or not. Source: GET /stores/:id/payouts."""
        query = (("includeCancelled", "true"),)
        read = partial(parse_payout, bitcoin_methods=self._settings.bitcoin_methods)
        return await self._list(f"{self._store}/payouts", read, query)

    async def rates(self, currencies: Collection[str]) -> dict[str, str | None]:
        """The price of one bitcoin, decimal text by currency; None where the server knows none.

        Source: GET /stores/:id/rates.
        """
        query = tuple(("currencyPair", f"BTC_{currency}") for currency in currencies)
        value = await self._http.get(f"{self._store}/rates", query, SMALL)
        return self._parse(value, partial(server_json.parse_rates, currencies))

    async def webhooks(self) -> tuple[Webhook, ...]:
        """The store's webhooks. Source: GET /stores/:id/webhooks."""
        return await self._rows(f"{self._store}/webhooks", server_json.parse_webhook, limit=SMALL)

    async def create_webhook(self, url: str, secret: str, events: Collection[str]) -> Webhook:
        """A new webhook; nothing stops a second one for the same url: list before.

        Source: POST /stores/:id/webhooks.
        """
        body = server_json.webhook_body(url, events, secret)
        value = await self._http.send("POST", f"{self._store}/webhooks", body)
        return self._parse(value, _object_by(server_json.parse_webhook))

    async def replace_webhook(
        self, webhook_id: str, url: str, secret: str | None, events: Collection[str]
    ) -> Webhook:
        """Replace and enable a webhook; without a secret it keeps the one it has.

        Source: PUT /stores/:id/webhooks/:id.
        """
        body = server_json.webhook_body(url, events, secret)
        path = f"{self._store}/webhooks/{quote(webhook_id, safe='')}"
        value = await self._http.send("PUT", path, body)
        return self._parse(value, _object_by(server_json.parse_webhook))

    async def deliveries(self, webhook_id: str, count: int) -> tuple[SentDelivery, ...]:
        """The last deliveries of a webhook, newest first.

        Source: GET /stores/:id/webhooks/:id/deliveries.
        """
        path = f"{self._store}/webhooks/{quote(webhook_id, safe='')}/deliveries"
        return await self._rows(path, server_json.parse_delivery, (("count", str(count)),))

    async def _list_invoices(self, page: InvoicePage, more: Query = ()) -> list[object]:
        limit = ONE_INVOICE if page.take == 1 else PAGE
        value = await self._http.get(f"{self._store}/invoices", (*page.query, *more), limit)
        if not isinstance(value, list):
            raise self._record_bad_answer()
        return cast("list[object]", value)

    async def _object(
        self, path: str, read: Callable[[JsonObject], T], query: Query = (), limit: int = SMALL
    ) -> T:
        return self._parse(await self._http.get(path, query, limit), _object_by(read))

    async def _rows(
        self, path: str, read: Callable[[JsonObject], T], query: Query = (), limit: int = WHOLE_LIST
    ) -> tuple[T, ...]:
        return (await self._list(path, read, query, limit)).rows

    async def _list(
        self, path: str, read: Callable[[JsonObject], T], query: Query = (), limit: int = WHOLE_LIST
    ) -> ParsedRows[T]:
        rows = self._parse_rows(await self._http.get(path, query, limit), read)
        if rows.unreadable:
            sentence = "sent an entry of a list that cannot be read"
            self.stats.record_error(BAD_ROW, sentence, rows.unreadable)
        return rows

    def _parse_rows(self, value: object, read: Callable[[JsonObject], T]) -> ParsedRows[T]:
        return self._parse(value, lambda value: parse_rows(value, read))

    def _parse(self, value: object, read: Callable[[object], T]) -> T:
        """The parsed value. Raises BadData when it has another form."""
        try:
            return read(value)
        except InvalidInput as error:
            raise self._record_bad_answer() from error

    def _record_bad_answer(self) -> BadData:
        error = bad_answer(self.name)
        self.stats.record_error(error.code, error.detail)
        return error

    def _invoice(self, row: JsonObject) -> Invoice:
        settings = self._settings
        return parse_invoice(
            row, settings.kept_metadata, settings.store_id, settings.bitcoin_methods
        )

    def _heads(self, listed: list[object], asked_at: int) -> InvoiceAnswer:
        read = self._parse_rows(listed, self._invoice)
        if read.unreadable:
            sentence = "sent an invoice that cannot be read"
            self.stats.record_error(BAD_INVOICE, sentence, read.unreadable)
        times = _times(listed)
        return InvoiceAnswer(
            tuple(_deduplicated(read.rows)),
            asked_at,
            len(listed),
            min(times, default=None),
            {BAD_INVOICE: read.unreadable} if read.unreadable else {},
            newest_at=max(times, default=None),
            unreadable_ids=read.unreadable_ids,
        )


def _object_by(read: Callable[[JsonObject], T]) -> Callable[[object], T]:
    return lambda value: read(as_object(value, "the answer"))


def _deduplicated(invoices: Iterable[Invoice]) -> Iterable[Invoice]:
    """Each invoice once: a page may repeat rows."""
    return {invoice.id: invoice for invoice in invoices}.values()


def _times(listed: Iterable[object]) -> list[int]:
    """The creation times of a list, also of rows that cannot be read otherwise."""
    return [at for row in listed if (at := _created_at(row)) is not None]


def _created_at(row: object) -> int | None:
    try:
        return optional_timestamp(as_object(row, "a row"), "createdTime")
    except InvalidInput:
        return None
