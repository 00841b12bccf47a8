"""The simnet's BTCPay Server writes what the vectors hold, byte for byte."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.rig import vectors

pytest.importorskip("pbk")

from raised_simnet.btcpay.api_version import V1_13, V2_4_1, ApiVersion
from raised_simnet.btcpay.invoice import (
    NOTHING,
    ON_CHAIN,
    Exceptional,
    Invoice,
    InvoiceState,
    Method,
    Payment,
    Speed,
    Status,
    Terms,
)
from raised_simnet.btcpay.invoice_json import invoice_json
from raised_simnet.btcpay.payment_json import methods_json
from raised_simnet.btcpay.permission import ApiKey
from raised_simnet.btcpay.refund import Payout, PayoutState, PullPayment
from raised_simnet.btcpay.webhook import Delivery, Webhook
from raised_simnet.btcpay.webhook_event import (
    DeliveryEnvelope,
    Event,
    body_of,
    invoice_event,
    payment_event,
    payout_event,
    pretty,
)

VECTORS = vectors.BTCPAY
HOST = "https://btcpay.example.org"
MODERN = {"BTC": "BTC-CHAIN", "BTC-LightningNetwork": "BTC-LN", "BTC-LNURLPAY": "BTC-LNURL"}


def text(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text(name))
    return found


def payment_of(row: dict[str, Any], method: str) -> Payment:
    money = (Decimal(row["value"]), row["receivedDate"], row["destination"])
    standing = InvoiceState(row["status"])
    return Payment(method, row["id"], *money, standing, Decimal(row["fee"]))


def method_of(row: dict[str, Any]) -> Method:
    name = row.get("paymentMethodId") or MODERN[row["paymentMethod"]]
    currency = row.get("currency") or row["cryptoCode"]
    link = row["paymentLink"].partition("?")[0]
    rate = Decimal(row["rate"])
    return Method(name, currency, rate, row["destination"], link, row["additionalData"])


def terms_of(price: str, currency: str = "BTC") -> Terms:
    return Terms(Decimal(price), currency, 0, 0, 0)


def with_methods(invoice: Invoice, methods: list[dict[str, Any]]) -> Invoice:
    invoice.methods = tuple(map(method_of, methods))
    for method, row in zip(invoice.methods, methods, strict=True):
        invoice.payments += [payment_of(payment, method.id) for payment in row["payments"]]
    return invoice


def invoice_of(row: dict[str, Any]) -> Invoice:
    """What the server must have had in mind; where no payments are shown, one that fits."""
    terms = Terms(
        price=Decimal(row["amount"]),
        currency=row["currency"],
        created_at=row["createdTime"],
        expires_at=row["expirationTime"],
        monitored_until=row["monitoringExpiration"],
        top_up=row["type"] == "TopUp",
        speed=Speed(row["checkout"]["speedPolicy"]),
        tolerance=Decimal(str(row["checkout"]["paymentTolerance"])),
    )
    invoice = Invoice(row["id"], row["storeId"], terms, (), row["metadata"])
    invoice.status, invoice.archived = Status(row["status"]), row["archived"]
    invoice.exceptional = Exceptional(row["additionalStatus"])
    if row.get("paymentMethods"):
        return with_methods(invoice, row["paymentMethods"])
    names = [MODERN.get(name, name) for name in row["checkout"]["paymentMethods"]]
    invoice.methods = tuple(Method(name, "BTC", Decimal(1), "", "", {}) for name in names)
    paid = Decimal(row.get("paidAmount", "0"))
    if paid:
        invoice.payments = [Payment(invoice.methods[0].id, "", paid, 0, "")]
    return invoice


@pytest.mark.parametrize(
    ("name", "dialect", "inline"),
    [
        ("invoice_list_2.4.1.json", V2_4_1, False),
        ("invoice_list_with_payment_methods_2.4.1.json", V2_4_1, True),
        ("invoice_list_1.13.json", V1_13, False),
    ],
)
def test_an_invoice_list_is_written_as_the_vectors_have_it(
    name: str, dialect: ApiVersion, inline: bool
) -> None:
    invoices = [invoice_of(row) for row in rows(name)]
    shown = [invoice_json(i, dialect, HOST, with_methods=inline) for i in invoices]
    assert pretty(shown) + b"\n" == text(name)


def test_one_invoice_is_written_as_the_vector_has_it() -> None:
    name = "invoice_single_2.4.1.json"
    invoice = invoice_of(json.loads(text(name)))
    assert pretty(invoice_json(invoice, V2_4_1, HOST, with_methods=False)) + b"\n" == text(name)


PRICES = {
    "lightning_settled_2.x": ("21000", "SATS"),
    "lightning_settled_1.13": ("21000", "SATS"),
    "network_fee_2.x": ("40.00", "USD"),
    "mixed_onchain_lightning_msat_2.x": ("10.00", "USD"),
    "rbf_all_payments_2.x": ("0.003", "BTC"),
    "rbf_only_accounted_2.x": ("0.003", "BTC"),
    "topup_late_2.x": ("0", "BTC"),
    "lazy_not_activated_2.x": ("12.00", "USD"),
    "overpaid_negative_due_2.x": ("0.0025", "BTC"),
    "onchain_settled_2.x": ("50.00", "USD"),
    "onchain_settled_1.13": ("50.00", "USD"),
    "onchain_partial_2.x": ("0.01", "BTC"),
}


def test_every_vector_of_payment_methods_is_known_here() -> None:
    assert {path.stem for path in (VECTORS / "payment_methods").iterdir()} == set(PRICES)


@pytest.mark.parametrize("name", PRICES)
def test_payment_methods_are_written_as_the_vectors_have_them(name: str) -> None:
    path = f"payment_methods/{name}.json"
    invoice = with_methods(Invoice("i", "s", terms_of(*PRICES[name]), ()), rows(path))
    invoice.terms.network_fee = Decimal("0.000002") if "partial" in name else NOTHING
    dialect = V1_13 if name.endswith("1.13") else V2_4_1
    shown = methods_json(invoice, dialect, accounted_only="all_payments" not in name)
    assert pretty(shown) + b"\n" == text(path)


BODIES = sorted(path.name for path in (VECTORS / "webhooks").glob("Invoice*.json"))
ENVELOPE = ("deliveryId", "webhookId", "originalDeliveryId", "isRedelivery", "type", "timestamp")
SUBJECT = ("storeId", "invoiceId", "metadata")


def body_again(raw: bytes) -> bytes:
    row = json.loads(raw)
    invoice = Invoice(row["invoiceId"], row["storeId"], terms_of("1"), (), row["metadata"])
    own = {k: v for k, v in row.items() if k not in {*ENVELOPE, *SUBJECT}}
    event = invoice_event(row["type"], invoice, **own)
    if "payment" in own:
        dialect = V1_13 if "paymentMethod" in own else V2_4_1
        method = str(own.get("paymentMethodId") or MODERN[own["paymentMethod"]])
        payment = payment_of(own["payment"], method)
        late = own["afterExpiration"]
        event = payment_event(row["type"], invoice, payment, dialect, late=late)
    return body_of(event, envelope_of(row))


def envelope_of(row: dict[str, Any]) -> DeliveryEnvelope:
    ids = (row["deliveryId"], row["webhookId"], row["originalDeliveryId"])
    return DeliveryEnvelope(*ids, row["timestamp"])


@pytest.mark.parametrize("name", BODIES)
def test_invoice_events_are_written_as_the_vectors_have_them(name: str) -> None:
    raw = text(f"webhooks/{name}")
    assert body_again(raw) == raw


@pytest.mark.parametrize("kind", ["PayoutCreated", "PayoutApproved", "PayoutUpdated"])
def test_payout_events_are_written_as_the_vectors_have_them(kind: str) -> None:
    raw = text(f"webhooks/{kind}.json")
    row = json.loads(raw)
    ids = (row["payoutId"], row["storeId"], row["pullPaymentId"])
    payout = Payout(*ids, 0, "", Decimal(0), "BTC")
    payout.state = PayoutState(row["payoutState"])
    assert body_of(payout_event(kind, payout), envelope_of(row)) == raw


def test_webhooks_are_written_as_the_vectors_have_them() -> None:
    row = json.loads(text("webhook_create_response.json"))
    wanted = tuple(row["authorizedEvents"]["specificEvents"])
    hook = Webhook(row["id"], "s", row["url"], row["secret"], wanted=wanted)
    made = pretty(hook.as_json(with_secret=True)) + b"\n"
    assert made == text("webhook_create_response.json")
    hook.wanted = None
    assert pretty([hook.as_json()]) + b"\n" == text("webhook_list_response.json")


def test_deliveries_are_written_as_the_vector_has_them() -> None:
    shown = []
    for row in rows("webhook_deliveries_response.json"):
        times = (row["timestamp"], row["deliveryTime"])
        event = Event("InvoiceCreated", "s", {})
        delivery = Delivery(
            row["id"], row["id"], *times, row["httpCode"], row["errorMessage"], event, b""
        )
        shown.append(delivery.as_json())
    assert pretty(shown) + b"\n" == text("webhook_deliveries_response.json")


def test_refunds_are_written_as_the_vectors_have_them() -> None:
    (row,) = rows("pull_payments.json")
    amount = Decimal(row["amount"])
    pull = PullPayment(row["id"], "s", row["name"], amount, row["currency"], row["startsAt"])
    assert pretty([pull.as_json(HOST)]) + b"\n" == text("pull_payments.json")
    (row,) = rows("payouts.json")
    ids = (row["id"], "s", row["pullPaymentId"], row["date"], row["destination"])
    payout = Payout(*ids, amount, "BTC", coin_amount=amount, state=PayoutState.COMPLETED)
    payout.proof = row["paymentProof"]["transactionId"]
    assert pretty([payout.as_json(V2_4_1)]) + b"\n" == text("payouts.json")


def test_an_api_key_is_written_as_the_vector_has_it() -> None:
    row = json.loads(text("api_key_current.json"))
    key = ApiKey(row["apiKey"], row["label"], tuple(row["permissions"]))
    assert pretty(key.as_json()) + b"\n" == text("api_key_current.json")


def test_a_vector_that_differs_by_one_satoshi_would_be_noticed() -> None:
    path = "payment_methods/onchain_settled_2.x.json"
    invoice = with_methods(Invoice("i", "s", terms_of("50.00", "USD"), ()), rows(path))
    first = invoice.payments[0]
    invoice.payments[0] = replace(first, value=first.value + Decimal("0.00000001"))
    assert first.method == ON_CHAIN
    assert pretty(methods_json(invoice, V2_4_1, accounted_only=True)) + b"\n" != text(path)
