"""Invoices and payments of both versions become equal rows; what is wrong becomes no row."""

import json
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pytest
from tests.rig.canned_greenfield import KEPT, STORE, VECTORS, vector

from raised.btcpay.client.invoices_json import coin_id, kept_metadata, parse_invoice, parse_payments
from raised.btcpay.client.json_fields import ParsedRows, read_json
from raised.btcpay.client.payment_methods import method_name
from raised.domain.btcpay.invoice import Invoice, Payment, amount_msats, chain_amount_msats
from raised.domain.json_object import as_object
from raised.errors import InvalidInput

METHODS = sorted(path.stem for path in (VECTORS / "payment_methods").glob("*.json"))
TXID = "ab" * 32


def read(value: Any) -> Any:
    """As it comes over the wire."""
    return read_json(json.dumps(value).encode())


def invoice(**changes: Any) -> Invoice:
    row = {**vector("invoice_single_2.4.1"), **changes}
    row = {key: value for key, value in row.items() if value is not ...}
    return parse_invoice(as_object(read(row), "it"), KEPT, STORE)


def invoices(name: str) -> dict[str, Invoice]:
    rows = [parse_invoice(as_object(entry, "it"), KEPT, STORE) for entry in read(vector(name))]
    return {row.id: row for row in rows}


def payment(**changes: Any) -> dict[str, Any]:
    row = {
        "id": f"{TXID}-1",
        "receivedDate": 1773126240,
        "value": "0.0007765",
        "fee": "0",
        "status": "Settled",
        "destination": "bc1q",
    }
    return {key: value for key, value in {**row, **changes}.items() if value is not ...}


def payments(*rows: Any, **method: Any) -> ParsedRows[Payment]:
    fields = {"paymentMethodId": "BTC-CHAIN", "currency": "BTC", "rate": "1", **method}
    return parse_payments(read([{**fields, "payments": list(rows)}]))


@pytest.mark.parametrize("case", vector("amounts"), ids=lambda case: f"{case['input']!r}")
def test_every_amount_of_the_vectors_is_read_exactly_or_refused(case: dict[str, Any]) -> None:
    text, currency = case["input"], case["currency"]

    def msat() -> int | None:
        try:
            return amount_msats(text, currency)
        except InvalidInput:
            return None

    def sats() -> int | None:
        try:
            exact = chain_amount_msats(text, currency)
        except InvalidInput:
            return None
        return None if exact is None else exact // 1000

    assert (msat(), sats()) == (case["msat"], case["sats"])


def test_more_bitcoin_than_there_is_is_no_amount() -> None:
    assert amount_msats("21000000", "BTC") == 2_100_000_000_000_000_000
    for text in ("21000000.00000000001", "99999999999999999999999999", "-21000001"):
        with pytest.raises(InvalidInput):
            amount_msats(text, "BTC")


@pytest.mark.parametrize("name", METHODS)
def test_what_came_by_each_method_is_what_the_server_adds_up(name: str) -> None:
    """The server rounds each method's sum up to eight decimals (docs/btcpay.md 1)."""
    for method in vector(f"payment_methods/{name}"):
        read_of_it = parse_payments(read([method]))
        received = sum(
            payment.value_msats or 0 for payment in read_of_it.rows if payment.status != "Invalid"
        )
        step = Decimal("0.00000001")
        paid = (Decimal(received) / 10**11).quantize(step, rounding=ROUND_CEILING)
        assert paid == Decimal(method["paymentMethodPaid"])
        assert (len(read_of_it.rows), read_of_it.unreadable) == (len(method["payments"]), 0)


@pytest.mark.parametrize("name", ["onchain_settled", "lightning_settled"])
def test_payments_of_1x_and_2x_are_equal_rows(name: str) -> None:
    old, new = (
        parse_payments(read(vector(f"payment_methods/{name}_{version}")))
        for version in ("1.13", "2.x")
    )
    assert old == new
    assert old.rows


def test_invoices_of_1x_and_2x_are_equal_rows() -> None:
    """1.x does not know what was paid."""
    old, new = invoices("invoice_list_1.13"), invoices("invoice_list_2.4.1")
    for invoice_id, row in old.items():
        assert row == replace(new[invoice_id], paid_amount=None)
    assert len(old) == 5


def test_every_status_of_the_list_is_read_as_it_stands() -> None:
    rows = invoices("invoice_list_2.4.1")
    for sent in vector("invoice_list_2.4.1"):
        row = rows[sent["id"]]
        assert (row.status, row.additional_status) == (sent["status"], sent["additionalStatus"])
        assert (row.amount, row.paid_amount) == (sent["amount"], sent["paidAmount"])
        assert (row.created_at, row.expires_at) == (sent["createdTime"], sent["expirationTime"])
        assert row.monitored_until == sent["monitoringExpiration"]
        assert (row.archived, row.type) == (sent["archived"], sent["type"])
        assert row.currency == sent["currency"]
    assert len(rows) == 20


def test_what_was_received_is_what_the_accounting_expects() -> None:
    """For those of the list that bring their payments."""
    expected = {entry["invoiceId"]: entry for entry in vector("expected_accounting")["invoices"]}
    rows = invoices("invoice_list_with_payment_methods_2.4.1")
    for row in rows.values():
        wanted = expected[row.id]
        sums = dict.fromkeys(("Settled", "Processing"), 0)
        for paid in row.payments or ():
            sums[paid.status] += paid.value_msats or 0
        assert sums["Settled"] == wanted["settled_msat"]
        assert sums["Processing"] == wanted["processing_msat"]
    assert len(rows) == 4


def test_no_payment_methods_tell_nothing() -> None:
    assert invoice(paymentMethods=[]).payments is None
    assert invoice(paymentMethods=None).payments is None
    assert invoice(paymentMethods=...).payments is None


@pytest.mark.parametrize("status", ["New", "Expired"])
def test_a_status_can_say_that_no_payment_counts(status: str) -> None:
    """So one that was replaced is noticed on servers that do not give payments with the list."""
    assert invoice(status=status, additionalStatus="None", paymentMethods=[]).payments == ()
    assert invoice(status=status, additionalStatus="PaidPartial").payments is None
    assert invoice(status=status, additionalStatus=...).payments is None


def test_payment_methods_without_payments_tell_that_there_is_none() -> None:
    lazy = vector("payment_methods/lazy_not_activated_2.x")
    assert invoice(paymentMethods=lazy).payments == ()


def test_a_replaced_payment_shows_only_when_all_are_asked_for() -> None:
    some, everything = (
        parse_payments(read(vector(f"payment_methods/rbf_{which}_2.x"))).rows
        for which in ("only_accounted", "all_payments")
    )
    assert [paid.status for paid in everything] == ["Invalid", "Settled"]
    assert some == everything[1:]


def test_words_that_we_do_not_know_are_other() -> None:
    assert invoice(status="Refunded").status == "Other"
    assert invoice(status="Refunded").payments is None
    assert invoice(additionalStatus="PaidTwice").additional_status == "PaidTwice"
    assert payments(payment(status="Held")).rows[0].status == "Other"


def test_the_case_of_a_known_word_does_not_matter() -> None:
    assert invoice(status="SETTLED").status == "Settled"
    assert payments(payment(status="settled")).rows[0].status == "Settled"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("BTC", "BTC-CHAIN"), ("btc", "BTC-CHAIN"), ("BTC-OnChain", "BTC-CHAIN"),
        ("BTC_OnChain", "BTC-CHAIN"), ("BTC-BTCLike", "BTC-CHAIN"),
        ("BTC_BitcoinLike", "BTC-CHAIN"), ("BTC-CHAIN", "BTC-CHAIN"),
        ("btc-chain", "BTC-CHAIN"), ("BTC-LightningNetwork", "BTC-LN"),
        ("BTC-LightningLike", "BTC-LN"), ("BTC_LightningLike", "BTC-LN"),
        ("BTC-OffChain", "BTC-LN"), ("BTC-Off-Chain", "BTC-LN"), ("btc_lightninglike", "BTC-LN"),
        ("BTC-LN", "BTC-LN"), ("BTC-LNURLPAY", "BTC-LNURL"), ("BTC_LNURLPAY", "BTC-LNURL"),
        ("BTC-LNURL", "BTC-LNURL"), ("LTC", "LTC-CHAIN"), ("LTC-CHAIN", "LTC-CHAIN"),
        ("XMR_MoneroLike", "XMR-CHAIN"), ("USDT-Boltz", "USDT-Boltz"),
    ],
)  # fmt: skip
def test_a_payment_method_has_one_name(sent: str, name: str) -> None:
    assert method_name(sent) == name


@pytest.mark.parametrize("sent", ["", "-", "-CHAIN", "₿"])
def test_what_is_no_name_of_a_method_is_refused(sent: str) -> None:
    with pytest.raises(InvalidInput):
        method_name(sent)


def test_a_coin_has_one_spelling() -> None:
    assert coin_id(f"{'AB' * 32}-1") == coin_id(f"{TXID}:01") == f"{TXID}:1"
    assert coin_id(f"{TXID}-4294967295").endswith(":4294967295")
    bad = ("", TXID, f"{TXID}-", f"{TXID}--1", f"{TXID}-4294967296", f"{TXID[2:]}-0")
    for text in (*bad, f"{TXID}-1 ", f"{TXID}-1\n", f"{'gh' * 32}-0", f"{TXID}-٣"):
        with pytest.raises(InvalidInput):
            coin_id(text)


def test_a_lightning_payment_is_known_by_its_hash_or_by_what_was_paid() -> None:
    hashed = payments(payment(id="CD" * 32), paymentMethodId="BTC-LN").rows[0]
    bolt11 = payments(payment(id="LNBC1PJ" + "Q" * 300), paymentMethodId="BTC-LNURL").rows[0]
    assert hashed.id == "cd" * 32
    assert bolt11.id == "lnbc1pj" + "q" * 300
    assert hashed.txid is None


def test_millisatoshis_are_kept_on_lightning_and_refused_on_the_chain() -> None:
    odd = payment(value="0.00005624711", id="cd" * 32)
    assert payments(odd, paymentMethodId="BTC-LN").rows[0].value_msats == 5_624_711
    assert payments(payment(value="0.00005624711")) == ParsedRows((), 1)


def test_another_coin_has_no_millisatoshis() -> None:
    row = payments(
        payment(value="0.123456789012345678", id="0xAB"), paymentMethodId="ETH", currency="ETH"
    ).rows[0]
    assert (row.method, row.currency, row.id) == ("ETH-CHAIN", "ETH", "0xAB")
    assert (row.value, row.value_msats) == ("0.123456789012345678", None)


@pytest.mark.parametrize("odd", ["", "a\nb", "x" * 4_001])
def test_a_payment_in_another_coin_needs_an_id_too(odd: str) -> None:
    assert payments(payment(id=odd), paymentMethodId="LTC", currency="LTC") == ParsedRows((), 1)


def test_the_currency_of_a_method_may_be_left_out() -> None:
    assert payments(payment(), currency=None).rows[0].currency == "BTC"


def test_bitcoin_that_says_it_is_another_coin_is_not_counted() -> None:
    assert payments(payment(), currency="LTC") == ParsedRows((), 1)


def test_money_may_be_written_as_a_number() -> None:
    assert payments(payment(value=1)).rows[0].value_msats == 10**11
    exact = read_json(b'[{"paymentMethodId":"BTC-LN","rate":6.5e4,"payments":[{"id":"%s",'
                      b'"receivedDate":1,"value":0.00000000003,"status":"Settled"}]}]'
                      % (b"cd" * 32))  # fmt: skip
    row = parse_payments(exact).rows[0]
    assert (row.value, row.value_msats, row.rate) == ("0.00000000003", 3, "65000")
    assert invoice(amount=5, paidAmount=5.25).paid_amount == "5.25"


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ...}, {"id": None}, {"id": 7}, {"id": f"{TXID}"}, {"id": "cd" * 40},
        {"value": ...}, {"value": "-0.1"}, {"value": "1e-3"}, {"value": ""}, {"value": True},
        {"value": "21000001"}, {"value": {}}, {"value": "٣"}, {"value": "0.1\n"},
        {"receivedDate": ...}, {"receivedDate": "1773126240"}, {"receivedDate": -1},
        {"receivedDate": 1e12}, {"receivedDate": 10**30}, {"receivedDate": True},
        {"status": ...}, {"status": 3}, {"status": "Set\0tled"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_payment_is_counted_and_the_right_one_kept(wrong: dict[str, Any]) -> None:
    good = payment(id=f"{TXID}-7")
    read_of_both = payments(payment(**wrong), good)
    assert [paid.id for paid in read_of_both.rows] == [f"{TXID}:7"]
    assert read_of_both.unreadable == 1
    held = {"paymentMethodId": "BTC-CHAIN", "payments": [payment(**wrong), good]}
    whole = invoice(paymentMethods=[held])
    assert (len(whole.payments or ()), whole.unreadable_payments) == (1, 1)


@pytest.mark.parametrize("method", [None, 3, [], {}, {"paymentMethodId": "BTC"}])
def test_a_wrong_payment_method_is_counted(method: object) -> None:
    assert parse_payments(read([method])) == ParsedRows((), 1)


def test_payment_methods_that_are_no_list_cost_the_invoice() -> None:
    with pytest.raises(InvalidInput):
        invoice(paymentMethods={"BTC-CHAIN": {}})


def test_a_payment_shown_twice_is_one_and_two_that_contradict_are_none() -> None:
    assert len(payments(payment(), payment(id=f"{'AB' * 32}-1")).rows) == 1
    assert payments(payment(), payment(status="Processing")) == ParsedRows((), 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ...}, {"id": ""}, {"id": "../../apps"}, {"id": "a b"}, {"id": 5},
        {"storeId": "FpVtBAmnBRTpGeLtwviVvdRCYazp1G2rUJdEtbp2wqu7"},
        {"createdTime": ...}, {"createdTime": "2026-03-10T12:00:00Z"}, {"createdTime": -5},
        {"createdTime": 1773144000.5}, {"createdTime": 2**63}, {"expirationTime": "soon"},
        {"monitoringExpiration": 10**15}, {"amount": ...}, {"amount": "fifty"},
        {"amount": "5e1"}, {"amount": []}, {"paidAmount": "NaN"}, {"currency": ...},
        {"currency": "X" * 50}, {"archived": "no"}, {"status": ["New"]}, {"status": "N\new"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_invoice_is_no_invoice(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        invoice(**wrong)


def test_dates_that_are_left_out_fall_back_on_the_one_before() -> None:
    row = invoice(expirationTime=..., monitoringExpiration=...)
    assert row.created_at == row.expires_at == row.monitored_until


def test_only_the_metadata_that_is_asked_for_is_kept() -> None:
    rows = invoices("invoice_list_2.4.1")
    assert rows["5KiLNvKhqe5kv85T6g8oGS"].metadata == {"orderId": "order-1996"}
    assert rows["LGmB33d7xReUiXhbEjxN85"].metadata == {
        "orderId": "1999",
        "campaign": "zażółć gęślą jaźń ₿",
    }
    assert "example.org" not in repr(rows)
    assert "Ada" not in repr(rows)


def test_metadata_of_any_type_becomes_text() -> None:
    value = read_json(b'{"n":1.10,"b":true,"o":{"z":[1,"x"],"a":null},"s":"\\ud800\\u0000ok",'
                      b'"nil":null,"long":' + b"9" * 5000 + b"}")  # fmt: skip
    texts = kept_metadata(value, ["n", "b", "o", "s", "nil", "long", "none"])
    assert texts == {
        "n": "1.10",
        "b": "true",
        "o": '{"a":null,"z":[1,"x"]}',
        "s": "?\N{REPLACEMENT CHARACTER}ok",
    }
    assert kept_metadata([], ["n"]) == kept_metadata(None, ["n"]) == {}


def test_long_metadata_is_cut() -> None:
    assert len(kept_metadata({"n": "x" * 9_999}, ["n"])["n"]) == 4_000


@pytest.mark.parametrize(
    ("method", "currency"),
    [("CASH", "SATS"), ("BANK_TRANSFER", "BTC"), ("BTC-ARK", "BTC"), ("BTC_MoneroLike", "BTC"),
     ("LBTC", "LBTC"), ("SATS", "SATS"), ("btc-chain2", "BTC")],
)  # fmt: skip
def test_money_is_bitcoin_by_its_method_never_by_its_currency(method: str, currency: str) -> None:
    """btcpayserver#6446: plugins take cash and transfers for invoices in SATS or BTC."""
    payment = {"id": "1", "value": "225000", "status": "Settled", "receivedDate": 1_700_000_000}
    read = parse_payments(
        [{"paymentMethodId": method, "currency": currency, "payments": [payment]}]
    )
    assert read.unreadable == 0
    assert [(row.method, row.value, row.value_msats) for row in read.rows] == [
        ("LBTC-CHAIN" if method == "LBTC" else "SATS-CHAIN" if method == "SATS" else method,
         "225000", None)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["Cash in hand", "CASH.EUR", "Überweisung", "Gift (card)"])
def test_operators_name_methods_freely(name: str) -> None:
    payment = {"id": "1", "value": "20.00", "status": "Settled", "receivedDate": 1_700_000_000}
    read = parse_payments([{"paymentMethodId": name, "currency": "EUR", "payments": [payment]}])
    assert [(row.method, row.value_msats) for row in read.rows] == [(name, None)]
    assert read.unreadable == 0


@pytest.mark.parametrize("name", ["BTC-OTC", "BTC-CHAIN", "BTC", "no name"])
@pytest.mark.parametrize("currency", ["EUR", "", None])
def test_a_method_without_payments_is_no_unread_payment(name: str, currency: str | None) -> None:
    read = parse_payments([{"paymentMethodId": name, "currency": currency, "payments": []}])
    assert (read.rows, read.unreadable) == ((), 0)


def test_a_plugins_own_method_may_have_any_currency() -> None:
    payment = {"id": "1", "value": "20.00", "status": "Settled", "receivedDate": 1_700_000_000}
    read = parse_payments(
        [{"paymentMethodId": "BTC-OTC", "currency": "EUR", "payments": [payment]}]
    )
    assert [(row.method, row.currency, row.value_msats) for row in read.rows] == [
        ("BTC-OTC", "EUR", None)
    ]
