"""Greenfield's invoice routes. Source: docs/btcpay.md 3."""

from dataclasses import dataclass
from typing import Final

from raised_simnet.btcpay.api_request import ApiRequest
from raised_simnet.btcpay.decimals import price_text
from raised_simnet.btcpay.error_responses import answer, invalid
from raised_simnet.btcpay.invoice import Invoice, Status
from raised_simnet.btcpay.invoice_json import invoice_json
from raised_simnet.btcpay.payment_json import methods_json
from raised_simnet.btcpay.permission import VIEW_INVOICES
from raised_simnet.http.http_server import Response
from raised_simnet.http.url_routing import Router

INVOICE_ROUTES: Final[Router[ApiRequest]] = Router()
_OLD_WORDS: Final = {"paid": Status.PROCESSING, "confirmed": Status.SETTLED}
_WORDS: Final = {
    **{status.lower(): status for status in Status},
    **_OLD_WORDS,
    "complete": Status.SETTLED,
}
_SEARCH_CHARS: Final = 512


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which invoices are asked for. None and empty: all."""

    statuses: set[Status] | None
    orders: list[str]
    start: int | None
    end: int | None
    text: str
    archived: bool

    def takes(self, invoice: Invoice) -> bool:
        """Whether this is one of them."""
        created_at = invoice.terms.created_at
        return (
            (self.archived or not invoice.archived)
            and (self.statuses is None or invoice.status in self.statuses)
            and (not self.orders or str(invoice.metadata.get("orderId")) in self.orders)
            and (self.start is None or created_at >= self.start)
            and (self.end is None or created_at <= self.end)
            and (not self.text or any(term.startswith(self.text) for term in _terms(invoice)))
        )


@INVOICE_ROUTES.add("stores/:store/invoices")
def _list(request: ApiRequest) -> Response:
    """Newest first; those of one second in any order; all of them unless told how many."""
    store, wanted = request.store(VIEW_INVOICES), _filter(request)
    found = [invoice for invoice in store.invoices.values() if wanted.takes(invoice)]
    request.dice.shuffle(found)
    found.sort(key=lambda invoice: invoice.terms.created_at, reverse=True)
    skip, take = request.count("skip") or 0, request.count("take")
    page = found[skip:] if take is None else found[skip : skip + take]
    inline = request.flag("includePaymentMethods")
    return answer([_shown(invoice, request, with_methods=inline) for invoice in page])


@INVOICE_ROUTES.add("stores/:store/invoices/:invoice")
def _one(request: ApiRequest) -> Response:
    inline = request.flag("includePaymentMethods")
    return answer(_shown(request.invoice(), request, with_methods=inline))


@INVOICE_ROUTES.add("stores/:store/invoices/:invoice/payment-methods")
def _methods(request: ApiRequest) -> Response:
    only = request.flag("onlyAccountedPayments", default=True)
    return answer(methods_json(request.invoice(), request.office.dialect, accounted_only=only))


def _shown(invoice: Invoice, request: ApiRequest, *, with_methods: bool) -> dict[str, object]:
    return invoice_json(invoice, request.office.dialect, request.host, with_methods=with_methods)


def _filter(request: ApiRequest) -> _Filter:
    start, end = request.time("startDate"), request.time("endDate")
    if start is not None and end is not None and start > end:
        raise invalid(
            ("startDate", "startDate should not be above endDate"),
            ("endDate", "endDate should not be below startDate"),
        )
    text = (request.text("textSearch") or "")[:_SEARCH_CHARS]
    archived = request.flag("includeArchived")
    return _Filter(_statuses(request), request.texts("orderId"), start, end, text, archived)


def _statuses(request: ApiRequest) -> set[Status] | None:
    """Unknown words are dropped, by 2.x until no filter is left; 1.x then finds nothing."""
    words = request.texts("status")
    known = {_WORDS[word.lower()] for word in words if word.lower() in _WORDS}
    return known if known or (words and request.office.dialect.old) else None


def _terms(invoice: Invoice) -> list[str]:
    """What an invoice is found by, when it begins so."""
    named = (key for key in ("orderId", "buyerEmail") if key in invoice.metadata)
    return [
        invoice.id,
        invoice.store_id,
        *invoice.tags,
        price_text(invoice.terms.price, invoice.terms.currency),
        *(str(invoice.metadata[key]) for key in named),
        *(method.destination for method in invoice.methods if method.destination),
        *(payment.id.partition("-")[0] for payment in invoice.payments),
    ]
