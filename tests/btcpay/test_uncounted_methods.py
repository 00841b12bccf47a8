"""Money that may be bitcoin and is not counted: named, with what to set."""

from dataclasses import replace

import pytest
from tests.btcpay.client.test_server_json import PAYOUT

from raised.btcpay.client.payouts_json import parse_payout
from raised.btcpay.health import StoreHealth
from raised.btcpay.uncounted_methods import UncountedMethods
from raised.domain.btcpay.invoice import BITCOIN_METHODS, looks_like_bitcoin
from raised.domain.json_object import as_object
from raised.net.source_health import HostStats

Named = list[tuple[str, str]]


def warning(named: Named, *configured: str) -> str:
    """What is said of these methods and currencies."""
    health = StoreHealth("shop", HostStats, lambda: 0, expects_events=False)
    UncountedMethods(health, BITCOIN_METHODS | set(configured)).replace(named)
    health.accept_key()
    report = health.due_report(moved=True)
    assert report is not None
    warnings = report.facts["warnings"]
    assert isinstance(warnings, tuple)
    return " ".join(warnings)


@pytest.mark.parametrize("method", ["BTC-ARK", "btc_cashu", "Ark", "FEDI.MINT"])
def test_the_method_and_the_key_to_set_are_named(method: str) -> None:
    assert f'bitcoin_methods = ["{method}"]' in warning([(method, "BTC")])


def test_what_does_not_look_like_bitcoin_is_not_warned_of() -> None:
    assert warning([("LTC-CHAIN", "LTC"), ("Bank transfer", "EUR"), ("BTCX", "BTCX")]) == ""
    assert looks_like_bitcoin("CASH", "SATS")
    assert looks_like_bitcoin("BTC-OTC", "EUR")


def test_a_configured_method_in_another_currency_is_named_as_such() -> None:
    assert "is in EUR and not counted" in warning([("BTC-OTC", "EUR")], "BTC-OTC")
    assert warning([("btc-otc", "SATS")], "BTC-OTC") == ""


def test_many_methods_make_a_bounded_text() -> None:
    text = warning([(f"BTC-{number}", "BTC") for number in range(1_000)])
    assert "and 990 more" in text
    assert len(text) < 3_000


def test_refunds_by_a_method_count_as_its_payments_do() -> None:
    row = {
        "id": "5Rn1aYVPUo2r", "date": 1_773_144_000, "state": "Completed",
        "payoutMethodId": "BTC-ARK", "payoutCurrency": "BTC", "payoutAmount": "0.001",
    }  # fmt: skip
    apart = parse_payout(as_object(row, "it"))
    assert apart.value_msats is None
    counted = parse_payout(as_object(row, "it"), BITCOIN_METHODS | {"BTC-ARK"})
    assert counted.value_msats == 100_000_000
    health = StoreHealth("shop", HostStats, lambda: 0, expects_events=False)
    uncounted = UncountedMethods(health, BITCOIN_METHODS)
    uncounted.add_payouts([replace(apart, state="AwaitingPayment"), PAYOUT, counted])
    assert not health.changed.is_set()
    uncounted.add_payouts([apart])
    assert health.changed.is_set()
