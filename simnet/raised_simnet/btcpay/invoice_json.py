"""Invoices as Greenfield shows them, by version. Source: docs/btcpay.md 3.4."""

from raised_simnet.btcpay.api_version import ApiVersion
from raised_simnet.btcpay.decimals import price_text
from raised_simnet.btcpay.invoice import Invoice, Terms
from raised_simnet.btcpay.payment_json import methods_json

Json = dict[str, object]
_MINUTE = 60


def invoice_json(invoice: Invoice, dialect: ApiVersion, host: str, *, with_methods: bool) -> Json:
    """One invoice. `host`: what the caller called the server; methods only when asked for."""
    terms = invoice.terms
    methods = methods_json(invoice, dialect, accounted_only=True) if with_methods else []
    paid: Json = {} if dialect.old else {"paidAmount": price_text(invoice.paid, terms.currency)}
    inline: Json = {} if dialect.old else {"paymentMethods": methods}
    return {
        "id": invoice.id,
        "storeId": invoice.store_id,
        "amount": price_text(terms.price, terms.currency),
        **paid,
        "checkoutLink": f"{host}/i/{invoice.id}",
        "status": str(invoice.status),
        "additionalStatus": str(invoice.exceptional),
        "monitoringExpiration": terms.monitored_until,
        "expirationTime": terms.expires_at,
        "createdTime": terms.created_at,
        "availableStatusesForManualMarking": [str(status) for status in invoice.markable],
        "archived": invoice.archived,
        **inline,
        "type": "TopUp" if terms.top_up else "Standard",
        "currency": terms.currency,
        "metadata": dict(invoice.metadata),
        "checkout": _checkout(invoice, terms, dialect),
        "receipt": _receipt(dialect),
    }


def _checkout(invoice: Invoice, terms: Terms, dialect: ApiVersion) -> Json:
    checkout: Json = {
        "speedPolicy": str(terms.speed),
        "paymentMethods": [dialect.method_name(method.id) for method in invoice.methods],
        "defaultPaymentMethod": None,
        "expirationMinutes": (terms.expires_at - terms.created_at) // _MINUTE,
        "monitoringMinutes": (terms.monitored_until - terms.expires_at) // _MINUTE,
        "paymentTolerance": float(terms.tolerance),
        "redirectURL": None,
        "redirectAutomatically": False,
    }
    if dialect.old:
        checkout["requiresRefundEmail"] = None
    checkout["defaultLanguage"] = None
    if dialect.old:
        checkout["checkoutType"] = None
    checkout["lazyPaymentMethods"] = None
    return checkout


def _receipt(dialect: ApiVersion) -> Json:
    value = None if dialect.old else True
    return dict.fromkeys(("enabled", "showQR", "showPayments"), value)
