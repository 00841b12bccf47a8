"""Payments and payment methods as Greenfield shows them. Source: docs/btcpay.md 4.1, 4.2."""

from decimal import Decimal

from raised_simnet.btcpay.api_version import ApiVersion
from raised_simnet.btcpay.decimals import plain, rounded_up
from raised_simnet.btcpay.invoice import NOTHING, Invoice, Method, Payment

Json = dict[str, object]


def payment_json(payment: Payment) -> Json:
    """One payment."""
    return {
        "id": payment.id,
        "receivedDate": payment.received_at,
        "value": plain(payment.value),
        "fee": plain(payment.fee),
        "status": str(payment.state),
        "destination": payment.destination,
    }


def methods_json(invoice: Invoice, dialect: ApiVersion, *, accounted_only: bool) -> list[Json]:
    """The payment methods of an invoice with its payments."""
    shown = invoice.accounted if accounted_only else invoice.payments
    return [_method_json(invoice, method, shown, dialect) for method in invoice.methods]


def _method_json(
    invoice: Invoice, method: Method, shown: list[Payment], dialect: ApiVersion
) -> Json:
    money = _money(invoice, method)
    fee = money.pop("fee")
    name = dialect.method_name(method.id)
    payments = [payment_json(payment) for payment in shown if payment.method == method.id]
    front: Json = {
        "activated": method.activated,
        "destination": method.destination,
        "paymentLink": _link(method, Decimal(money["due"])),
        "rate": plain(method.rate),
        **money,
    }
    if dialect.old:
        names: Json = {"paymentMethod": name, "cryptoCode": method.currency}
        old_data = {"additionalData": _old_data(method)}
        return {**front, "networkFee": fee, "payments": payments, **names, **old_data}
    return {
        **front,
        "paymentMethodFee": fee,
        "payments": payments,
        "paymentMethodId": name,
        "additionalData": method.data,
        "currency": method.currency,
    }


def _money(invoice: Invoice, method: Method) -> dict[str, str]:
    """Every figure is of the whole invoice but `paymentMethodPaid`, which is of this method.

    While something is due, what the next payment has to bring more is due as well.
    """
    own = [p.value for p in invoice.accounted if p.method == method.id]
    request = invoice.terms.price + invoice.fees
    if invoice.accounted and request > invoice.gross and _is_address(method):
        request += invoice.terms.network_fee * method.rate

    def shown(amount: Decimal) -> str:
        return plain(rounded_up(amount / method.rate))

    return {
        "paymentMethodPaid": plain(rounded_up(sum(own, NOTHING))),
        "totalPaid": shown(invoice.gross),
        "due": shown(request - invoice.gross),
        "amount": shown(request),
        "fee": shown(request - invoice.terms.price),
    }


def _link(method: Method, due: Decimal) -> str:
    """An address is asked for an amount while something is due."""
    asks = _is_address(method) and due > 0
    return f"{method.link}?amount={plain(due)}" if asks else method.link


def _is_address(method: Method) -> bool:
    return "keyPath" in (method.data or {})


def _old_data(method: Method) -> Json:
    data = method.data or {}
    return {"paymentHash": data["paymentHash"]} if "paymentHash" in data else {}
