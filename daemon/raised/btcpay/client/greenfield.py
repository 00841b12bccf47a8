"""BTCPay's Greenfield API, one typed method for each call. Source: docs/btcpay.md."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar, cast
from urllib.parse import quote

import structlog

from raised.btcpay.client import server_json
from raised.btcpay.client.crowdfund_json import app_invoice_id, search_term
from raised.btcpay.client.http import (
    IN_FLIGHT,
    SMALL,
    WHOLE_LIST,
    GreenfieldHttp,
    RetryPolicy,
)
from raised.btcpay.client.http_status import Forbidden, Gone, bad_answer
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
from raised.errors import BadData, InvalidInput, SourceError
from raised.net.http_client import Query, Transport
from raised.net.source_health import HostStats

T = TypeVar("T")
_log = structlog.get_logger()

BAD_INVOICE: Final = "bad_invoice"
BAD_PAYMENT: Final = "bad_payment"
BAD_ROW: Final = "bad_row"
_APP_PAGE: Final = 100
_MOST_APP_PAGES: Final = 2_000  # ends the reading of a list that never ends
_CLOCK_TOLERANCE_SECONDS: Final = 60  # docs/btcpay.md 4.2
_WITH_PAYMENT_METHODS: Final = (("includePaymentMethods", "true"),)  # 2.3.6+, of one invoice 2.4.1+


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
        self._clock_warning_logged = False
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

    async def invoices(self, page: InvoicePage) -> InvoiceAnswer:
        """A page of invoices, archived ones too, with their payments.

        Where the server does not send payments with the list (before 2.3.6), they are fetched for
        each invoice that may have some. Source: GET /stores/:id/invoices.
        """
        asked_at = now()
        listed = await self._list_invoices(page, _WITH_PAYMENT_METHODS)
        read = self._parse_rows(listed, self._invoice)
        if read.unreadable:
            sentence = "sent an invoice that cannot be read"
            self.stats.record_error(BAD_INVOICE, sentence, read.unreadable)
        rows = await self._with_payments_of_all(_deduplicated(read.rows))
        bad = {
            BAD_INVOICE: read.unreadable,
            BAD_PAYMENT: sum(row.unreadable_payments > 0 for row in rows),
        }
        return InvoiceAnswer(
            rows,
            asked_at,
            len(listed),
            _oldest(listed),
            {code: count for code, count in bad.items() if count},
        )

    async def invoice(self, invoice_id: str) -> tuple[Invoice, int] | None:
        """One invoice with its payments, and when it was asked for; None when it is gone.

        Raises Forbidden: gone or not to be seen; whether a list works tells (docs/btcpay.md 9.2).
        Source: GET /stores/:id/invoices/:id.
        """
        if not is_identifier(invoice_id):
            return None
        asked_at = now()
        try:
            invoice = await self._object(
                f"{self._store}/invoices/{invoice_id}",
                self._invoice,
                _WITH_PAYMENT_METHODS,
            )
            if invoice.id != invoice_id:
                raise self._record_bad_answer()
            return (await self._with_payments_of_all((invoice,)))[0], asked_at
        except Gone:
            return None

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

    async def app_invoice_ids(
        self, app_id: str, *, start: int | None = None, end: int | None = None
    ) -> frozenset[str]:
        """The invoices that a crowdfund app made from `start` to `end`, both inclusive.

        Source: GET /stores/:id/invoices with textSearch.
        """
        ids_of_app: set[str] = set()
        page = InvoicePage(start=start, end=end, take=_APP_PAGE, text=search_term(app_id))
        for _ in range(_MOST_APP_PAGES):
            listed = await self._list_invoices(page)
            ids = self._parse_rows(listed, partial(app_invoice_id, app_id)).rows
            ids_of_app.update(invoice_id for invoice_id in ids if invoice_id is not None)
            if len(listed) < page.take:
                return frozenset(ids_of_app)
            page = page.after(_oldest(listed))
            await asyncio.sleep(self._http.retry_policy.page_seconds)
        raise self._record_bad_answer()

    async def pull_payments(self) -> tuple[PullPayment, ...]:
        """All pull payments, such as refunds. Source: GET /stores/:id/pull-payments."""
        query = (("includeArchived", "true"),)
        return await self._rows(f"{self._store}/pull-payments", parse_pull_payment, query)

    async def payouts(self) -> tuple[Payout, ...]:
        """All payouts, paid or not. Source: GET /stores/:id/payouts."""
        query = (("includeCancelled", "true"),)
        read = partial(parse_payout, bitcoin_methods=self._settings.bitcoin_methods)
        return await self._rows(f"{self._store}/payouts", read, query)

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
        value = await self._http.get(f"{self._store}/invoices", (*page.query, *more))
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
        rows = self._parse_rows(await self._http.get(path, query, limit), read)
        if rows.unreadable:
            sentence = "sent an entry of a list that cannot be read"
            self.stats.record_error(BAD_ROW, sentence, rows.unreadable)
        return rows.rows

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

    async def _with_payments_of_all(self, invoices: Iterable[Invoice]) -> tuple[Invoice, ...]:
        """The invoices, each with its payments; fetched two at a time where the list lacks them."""
        rows = list(invoices)
        missing = deque(index for index, row in enumerate(rows) if row.payments is None)
        failure: SourceError | None = None  # raised outside the group, as a plain error

        async def fill() -> None:
            while missing:
                index = missing.popleft()
                rows[index] = await self._with_payments(rows[index])

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(IN_FLIGHT, len(missing))):
                    group.create_task(fill())
        except* SourceError as errors:
            failure = _first(errors)
        if failure is not None:
            raise failure
        self._report_oddities(rows)
        return tuple(rows)

    async def _with_payments(self, invoice: Invoice) -> Invoice:
        """The invoice with its payments; without them if it was deleted or hidden meanwhile."""
        try:
            read = await self.payments(invoice.id, accounted_only=True)
        except (Forbidden, Gone):
            return invoice
        except BadData:
            return replace(invoice, unreadable_payments=1)
        return replace(invoice, payments=read.rows, unreadable_payments=read.unreadable)

    def _report_oddities(self, rows: Iterable[Invoice]) -> None:
        """Count unreadable payments; warn once if the server does not seem to run in UTC."""
        for row in rows:
            if row.unreadable_payments:
                self.stats.record_error(BAD_PAYMENT, "sent a payment that cannot be read")
            if not self._clock_warning_logged and _is_paid_before_creation(row):
                self._clock_warning_logged = True
                _log.warning(
                    "payments are older than their invoices: check that the server runs in UTC",
                    store=self.name,
                )


def _object_by(read: Callable[[JsonObject], T]) -> Callable[[object], T]:
    return lambda value: read(as_object(value, "the answer"))


def _deduplicated(invoices: Iterable[Invoice]) -> Iterable[Invoice]:
    """Each invoice once: a page may repeat rows."""
    return {invoice.id: invoice for invoice in invoices}.values()


def _oldest(listed: Iterable[object]) -> int | None:
    """The earliest creation time of a list, also of rows that cannot be read otherwise."""
    return min((at for row in listed if (at := _created_at(row)) is not None), default=None)


def _created_at(row: object) -> int | None:
    try:
        return optional_timestamp(as_object(row, "a row"), "createdTime")
    except InvalidInput:
        return None


def _is_paid_before_creation(invoice: Invoice) -> bool:
    earliest = invoice.created_at - _CLOCK_TOLERANCE_SECONDS
    return any(payment.received_at < earliest for payment in invoice.payments or ())


def _first(errors: BaseExceptionGroup[SourceError]) -> SourceError:
    first = errors.exceptions[0]
    return first if isinstance(first, SourceError) else _first(first)
