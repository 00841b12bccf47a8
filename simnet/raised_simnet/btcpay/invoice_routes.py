"""Greenfield's invoice routes. Source: btcpay.md 3."""

from typing import Final

from raised_simnet.btcpay.asked import Asked
from raised_simnet.btcpay.decimals import price_text
from raised_simnet.btcpay.invoice import Invoice, Status
from raised_simnet.btcpay.invoice_json import invoice_json
from raised_simnet.btcpay.payment_json import methods_json
from raised_simnet.btcpay.permission import VIEW_INVOICES
from raised_simnet.btcpay.refusal import answer, invalid
from raised_simnet.routing import Router
from raised_simnet.web import Response

INVOICE_ROUTES: Final[Router[Asked]] = Router()
_OLD_WORDS: Final = {"paid": Status.PROCESSING, "confirmed": Status.SETTLED}
_WORDS: Final = {
    **{status.lower(): status for status in Status},
    **_OLD_WORDS,
    "complete": Status.SETTLED,
}
_SEARCH_CHARS: Final = 512


@INVOICE_ROUTES.add("stores/:store/invoices")
def _list(asked: Asked) -> Response:
    """Newest first; those of one second in any order; all of them unless told how many."""
    store = asked.store(VIEW_INVOICES)
    found = [invoice for invoice in store.invoices.values() if _matches(invoice, asked)]
    asked.dice.shuffle(found)
    found.sort(key=lambda invoice: invoice.terms.created_at, reverse=True)
    skip, take = asked.count("skip") or 0, asked.count("take")
    page = found[skip:] if take is None else found[skip : skip + take]
    inline = asked.flag("includePaymentMethods")
    return answer([_shown(invoice, asked, with_methods=inline) for invoice in page])


@INVOICE_ROUTES.add("stores/:store/invoices/:invoice")
def _one(asked: Asked) -> Response:
    inline = asked.flag("includePaymentMethods")
    return answer(_shown(asked.invoice(), asked, with_methods=inline))


@INVOICE_ROUTES.add("stores/:store/invoices/:invoice/payment-methods")
def _methods(asked: Asked) -> Response:
    only = asked.flag("onlyAccountedPayments", default=True)
    return answer(methods_json(asked.invoice(), asked.office.dialect, accounted_only=only))


def _shown(invoice: Invoice, asked: Asked, *, with_methods: bool) -> dict[str, object]:
    return invoice_json(invoice, asked.office.dialect, asked.host, with_methods=with_methods)


def _matches(invoice: Invoice, asked: Asked) -> bool:
    if invoice.archived and not asked.flag("includeArchived"):
        return False
    statuses = _statuses(asked)
    if statuses is not None and invoice.status not in statuses:
        return False
    orders = asked.texts("orderId")
    if orders and str(invoice.metadata.get("orderId")) not in orders:
        return False
    start, end = _window(asked)
    created_at = invoice.terms.created_at
    if (start is not None and created_at < start) or (end is not None and created_at > end):
        return False
    return _is_found(invoice, (asked.text("textSearch") or "")[:_SEARCH_CHARS])


def _statuses(asked: Asked) -> set[Status] | None:
    """Unknown words are dropped, by 2.x until no filter is left; 1.x then finds nothing."""
    words = asked.texts("status")
    known = {_WORDS[word.lower()] for word in words if word.lower() in _WORDS}
    return known if known or (words and asked.office.dialect.old) else None


def _window(asked: Asked) -> tuple[int | None, int | None]:
    start, end = asked.time("startDate"), asked.time("endDate")
    if start is not None and end is not None and start > end:
        raise invalid(
            ("startDate", "startDate should not be above endDate"),
            ("endDate", "endDate should not be below startDate"),
        )
    return start, end


def _is_found(invoice: Invoice, text: str) -> bool:
    """By the beginning of any search term."""
    if not text:
        return True
    terms = [invoice.id, invoice.store_id, *invoice.tags]
    terms.append(price_text(invoice.terms.price, invoice.terms.currency))
    terms.extend(
        str(invoice.metadata[k]) for k in ("orderId", "buyerEmail") if k in invoice.metadata
    )
    terms.extend(method.destination for method in invoice.methods if method.destination)
    terms.extend(payment.id.partition("-")[0] for payment in invoice.payments)
    return any(term.startswith(text) for term in terms)
