"""What a server tells beside its invoices."""

import json
from typing import Any

import pytest
from tests.rig.canned_greenfield import STORE, vector

from raised.btcpay.client import server_json
from raised.btcpay.client.json_fields import read_json
from raised.btcpay.client.payouts_json import parse_payout, parse_pull_payment
from raised.btcpay.client.server_json import SentDelivery, ServerInfo, StoreTerms, Webhook
from raised.domain.btcpay.invoice import Payout, PullPayment
from raised.domain.json_object import JsonObject, as_object
from raised.errors import InvalidInput

TXID = "3cadbd93ce95888b719e7f26565403381bb1f2d753bbdd83fd14d1a00e67140d"
PAYOUT = Payout(
    id="3pLt1ZDrvusSKgQT3Z2hNjuZZsnr",
    pull_payment_id="4DebvnMPvNxLtsorc7vBCL8zAY9G",
    state="Completed",
    method="BTC-CHAIN",
    currency="BTC",
    amount="0.00018798",
    value_msats=18_798_000,
    at=1773136800,
    txid=TXID,
)


def row(value: Any) -> JsonObject:
    return as_object(read_json(json.dumps(value).encode()), "it")


@pytest.mark.parametrize(("name", "version"), [("2.x", "2.4.1"), ("1.13", "1.13.7")])
def test_the_version_of_a_server_is_read(name: str, version: str) -> None:
    assert server_json.parse_server_info(row(vector(f"server_info_{name}"))) == ServerInfo(
        version, True
    )


def test_a_version_may_carry_a_suffix_but_nothing_else() -> None:
    assert server_json.parse_server_info(row({"version": "2.4.2-rc1+9a"})) == ServerInfo(
        "2.4.2-rc1+9a", False
    )
    for odd in ("", None, 2, "2.4.1\n", "<b>2</b>", "2" * 100):
        with pytest.raises(InvalidInput):
            server_json.parse_server_info(row({"version": odd}))


def test_health_says_whether_the_node_has_all_blocks() -> None:
    assert server_json.parse_synchronized(row(vector("health"))) is True
    assert server_json.parse_synchronized(row({})) is False


def test_permissions_are_kept_and_the_key_is_not() -> None:
    fields = vector("api_key_current")
    permissions = server_json.parse_permissions(row({**fields, "apiKey": "secret" * 8}))
    assert permissions == set(fields["permissions"])
    assert f"btcpay.store.canviewinvoices:{STORE}" in permissions
    assert "secret" not in repr(permissions)
    odd = {"permissions": [5, None, "two words", "x" * 300, "unrestricted"]}
    assert server_json.parse_permissions(row(odd)) == {"unrestricted"}


def test_terms_are_seconds() -> None:
    fields = {"invoiceExpiration": 900, "monitoringExpiration": 86_400}
    assert server_json.parse_store_terms(row(fields)) == StoreTerms(900, 86_400)
    with pytest.raises(InvalidInput):
        server_json.parse_store_terms(row({"invoiceExpiration": 900}))


def test_a_rate_that_the_server_does_not_know_is_none() -> None:
    rates = server_json.parse_rates(
        ["USD", "XXX", "EUR"], read_json(json.dumps(vector("rates")).encode())
    )
    assert rates == {"USD": "64392.23", "XXX": None, "EUR": None}


def test_a_created_webhook_is_read_without_its_secret() -> None:
    webhook = server_json.parse_webhook(row(vector("webhook_create_response")))
    assert webhook.id == "RknBDPqTXUrHShEL9mgPZE"
    assert webhook.url == "https://analytics.example.org/hooks/btcpay"
    assert (webhook.enabled, webhook.redelivers, webhook.everything) == (True, True, False)
    assert len(webhook.events) == 10
    assert "2TbVyBHm6dDcXW4Yq3nKpL" not in repr(webhook)


def test_a_listed_webhook_may_get_everything() -> None:
    (listed,) = vector("webhook_list_response")
    assert server_json.parse_webhook(row(listed)) == Webhook(
        "RknBDPqTXUrHShEL9mgPZE",
        "https://analytics.example.org/hooks/btcpay",
        enabled=True,
        redelivers=True,
        everything=True,
        events=frozenset(),
    )


def test_a_webhook_is_sent_whole_and_its_secret_only_when_it_changes() -> None:
    """What is left out of a PUT the server sets as it likes."""
    body = server_json.webhook_body("https://here/x", {"b", "a"}, None)
    assert body == {
        "url": "https://here/x",
        "enabled": True,
        "automaticRedelivery": True,
        "authorizedEvents": {"everything": False, "specificEvents": ["a", "b"]},
    }
    assert server_json.webhook_body("https://here/x", {"b", "a"}, "s") == {**body, "secret": "s"}


def test_the_deliveries_of_a_webhook_are_read() -> None:
    sent = [
        server_json.parse_delivery(row(entry)) for entry in vector("webhook_deliveries_response")
    ]
    assert [entry.status for entry in sent].count("HttpSuccess") == 4
    assert sent[1] == SentDelivery(
        "5ykxGYdThipS5JB9W945Kh", 1773126901, 1773126901, 503, "HttpError"
    )
    assert sent[4].http_status is None
    assert sent[4].status == "Failed"
    old = server_json.parse_delivery(row({"id": "x", "timestamp": 5, "status": "Lost"}))
    assert old == SentDelivery("x", 5, None, None, "Other")


def test_an_offer_to_pay_back_is_read() -> None:
    (fields,) = vector("pull_payments")
    assert parse_pull_payment(row(fields)) == PullPayment(
        "4DebvnMPvNxLtsorc7vBCL8zAY9G", "Refund 3n6NcjD4hBA1C52YpTyway", "BTC", "0.00018798"
    )


@pytest.mark.parametrize(
    "name",
    ["Order 1017, Alice Smith <alice@example.org>", "Refund alice@example.org", "Refund Alice",
     "Refund 1017", "Refund 3n6NcjD4hBA1C52YpTyway for Alice", "refund 3n6NcjD4hBA1C52YpTyway",
     "Refund  3n6NcjD4hBA1C52YpTyway", "Refund 3n6NcjD4hBA1C52YpTyway\n", "", None, 5, "\ud800"],
)  # fmt: skip
def test_a_name_that_a_person_wrote_is_not_kept(name: object) -> None:
    (fields,) = vector("pull_payments")
    assert parse_pull_payment(row({**fields, "name": name})).name is None


def test_what_was_paid_back_is_read() -> None:
    (fields,) = vector("payouts")
    assert parse_payout(row(fields)) == PAYOUT


def test_a_payout_of_1x_is_an_equal_row() -> None:
    (fields,) = vector("payouts")
    for name in ("originalAmount", "originalCurrency", "payoutCurrency", "payoutMethodId"):
        del fields[name]
    paid = fields.pop("payoutAmount")
    old = {**fields, "amount": "12.50", "paymentMethodAmount": paid, "cryptoCode": "BTC"}
    assert parse_payout(row({**old, "paymentMethod": "BTC"})) == PAYOUT
    assert parse_payout(row(old)) == PAYOUT


def test_a_payout_that_is_not_priced_yet_has_no_amount() -> None:
    (fields,) = vector("payouts")
    waiting = {**fields, "state": "AwaitingApproval", "payoutAmount": None, "paymentProof": None}
    read = parse_payout(row(waiting))
    assert (read.amount, read.value_msats, read.txid) == (None, None, None)
    alone = parse_payout(row({**waiting, "pullPaymentId": None}))
    assert alone.pull_payment_id is None


def test_a_lightning_payout_has_no_transaction() -> None:
    (fields,) = vector("payouts")
    read = parse_payout(
        row({**fields, "payoutMethodId": "BTC-LN", "payoutAmount": "0.00000000001"})
    )
    assert (read.method, read.value_msats, read.txid) == ("BTC-LN", 1, None)


def test_a_payout_in_another_coin_has_no_millisatoshis() -> None:
    (fields,) = vector("payouts")
    read = parse_payout(row({**fields, "payoutMethodId": "LTC-CHAIN", "payoutCurrency": "LTC"}))
    assert (read.currency, read.amount, read.value_msats) == ("LTC", "0.00018798", None)
    assert read.txid is None


@pytest.mark.parametrize(
    "proof",
    [
        {
            "proofType": "PayoutTransactionOnChainBlob",
            "transactionId": "AB" * 32,
            "accounted": None,
        },
        {"ProofType": "PayoutTransactionOnChainBlob", "TransactionId": "ab" * 32},
        {"proofType": "ManualPayoutProof", "id": "ab" * 32, "link": "https://explorer.example"},
        {"ProofType": "ManualPayoutProof", "Id": "Ab" * 32, "Link": None},
        {"transactionId": "ab" * 32, "id": "cd" * 32},
        {"transactionId": None, "id": "ab" * 32},
    ],
    ids=str,
)
def test_every_spelling_of_a_proof_names_the_transaction(proof: object) -> None:
    (fields,) = vector("payouts")
    assert parse_payout(row({**fields, "paymentProof": proof})).txid == "ab" * 32


@pytest.mark.parametrize(
    "proof",
    [{}, {"id": "x"}, {"id": 5}, [], "text", {"id": "zz" * 32}, {"transactionId": None},
     {"candidates": ["ab" * 32]}, {"transactionId": ["ab" * 32]}],
    ids=str,
)  # fmt: skip
def test_a_proof_in_another_form_names_no_transaction(proof: object) -> None:
    (fields,) = vector("payouts")
    assert parse_payout(row({**fields, "paymentProof": proof})).txid is None


@pytest.mark.parametrize(
    "wrong",
    [{"id": None}, {"date": "today"}, {"payoutAmount": "-1"}, {"payoutAmount": "0.000000001"},
     {"payoutMethodId": "?", "cryptoCode": ""}, {"pullPaymentId": 5}, {"payoutCurrency": "LTC"}],
    ids=str,
)  # fmt: skip
def test_a_wrong_payout_is_none(wrong: dict[str, Any]) -> None:
    (fields,) = vector("payouts")
    with pytest.raises(InvalidInput):
        parse_payout(row({**fields, **wrong}))
