"""Invoices of the simnet's BTCPay Server become what the chain and the clock make of them."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("pbk")

from raised.domain.bitcoin.tx import Tx, TxOut
from raised_simnet.actors.wallet import Wallet, fan_out, fund
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.api_version import V2_4_1
from raised_simnet.btcpay.backend import Backend
from raised_simnet.btcpay.invoice import LIGHTNING, ON_CHAIN, Invoice, Speed, Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.refund import PayoutState
from raised_simnet.btcpay.store import Policy
from raised_simnet.btcpay.webhook_event import Event

START = 1_700_000_000
HOUR = 3600
DAY = 86400


class Counter:
    """A shop with a chain behind it and a customer before it. `told`: the events so far."""

    def __init__(self, folder: Path) -> None:
        self.now = START + 30 * DAY
        self.told: list[Event] = []
        self.chain = RegtestChain(folder, START)
        miner = Wallet(self.chain, "miner")
        self.alice = Wallet(self.chain, "alice")
        fund(self.chain, miner, 1)
        self.chain.mine([fan_out(miner, [self.alice.script], 10_000_000, each=20)])
        self.office = Backend(self.chain, V2_4_1, lambda: self.now, self.told.append, "test")
        self.store = self.office.open_store("shop")

    def order(self, price: str, currency: str = "BTC", **more: object) -> Invoice:
        return self.office.order(self.store, replace(Order(price, currency), **more))  # type: ignore[arg-type]

    def pay(self, invoice: Invoice, sats: int, *, sequence: int = 0xFFFFFFFD) -> Tx:
        script = invoice.method(ON_CHAIN).script
        assert script
        tx = self.alice.pay([TxOut(sats, script)], sequence=sequence)
        self.chain.accept(tx)
        self.office.look()
        return tx

    def replace(self, tx: Tx, outputs: list[TxOut]) -> None:
        coins = [self.chain.coin(txin.outpoint) for txin in tx.inputs]
        new = self.alice.pay(outputs, coins=[c for c in coins if c], fee_rate=20)
        self.chain.accept(new)
        self.office.look()

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.chain.mine()
        self.office.look()

    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        self.office.look()

    def events(self) -> list[str]:
        """What was told since the last time, in order."""
        types = [event.type for event in self.told]
        self.told.clear()
        return types


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Counter]:
    counter = Counter(tmp_path)
    yield counter
    counter.chain.close()


def state(invoice: Invoice) -> tuple[str, str]:
    return str(invoice.status), str(invoice.exceptional)


def standing(invoice: Invoice) -> str:
    return str(invoice.payments[0].state)


def test_a_payment_on_the_chain_is_received_processed_and_settled(shop: Counter) -> None:
    invoice = shop.order("0.001")
    tx = shop.pay(invoice, 100_000)
    assert state(invoice) == ("Processing", "None")
    assert invoice.payments[0].id == f"{tx.txid}-0"
    created = ["InvoiceCreated", "InvoiceReceivedPayment", "InvoiceProcessing"]
    assert shop.events() == created
    shop.mine()
    assert state(invoice) == ("Settled", "None")
    assert shop.events() == ["InvoicePaymentSettled", "InvoiceSettled"]


def test_lightning_is_settled_before_it_is_received(shop: Counter) -> None:
    invoice = shop.order("21000", "SATS")
    payment = shop.office.pay_lightning(invoice.id, 21_000_000)
    assert payment is not None
    assert payment.id == (invoice.method(LIGHTNING).data or {})["paymentHash"]
    assert state(invoice) == ("Settled", "None")
    assert shop.events() == [
        "InvoiceCreated",
        "InvoicePaymentSettled",
        "InvoiceReceivedPayment",
        "InvoiceProcessing",
        "InvoiceSettled",
    ]


def test_lightning_after_the_invoice_expired_is_nowhere(shop: Counter) -> None:
    invoice = shop.order("0.001")
    shop.pass_time(HOUR)
    assert shop.office.pay_lightning(invoice.id, 100_000_000) is None
    assert invoice.payments == []


def test_both_rails_can_pay_one_invoice_to_the_millisatoshi(shop: Counter) -> None:
    invoice = shop.order("0.001")
    shop.pay(invoice, 60_000)
    before = invoice.method(LIGHTNING).destination
    shop.office.pay_lightning(invoice.id, 20_000_123)
    assert state(invoice) == ("New", "PaidPartial")
    assert invoice.method(LIGHTNING).destination != before  # what is left has a new BOLT11
    shop.office.pay_lightning(invoice.id, 19_999_877)
    assert state(invoice) == ("Processing", "None")
    assert sum(p.value for p in invoice.payments) == Decimal("0.001")
    shop.mine()
    assert state(invoice) == ("Settled", "None")


def test_a_part_of_the_price_expires_as_a_part(shop: Counter) -> None:
    invoice = shop.order("50.00", "USD")
    shop.pay(invoice, 30_000)
    assert state(invoice) == ("New", "PaidPartial")
    shop.events()
    shop.pass_time(HOUR)
    assert state(invoice) == ("Expired", "PaidPartial")
    assert shop.events() == ["InvoiceExpired", "InvoiceExpiredPaidPartial"]


def test_nothing_expires_as_nothing(shop: Counter) -> None:
    invoice = shop.order("50.00", "USD")
    shop.pass_time(15 * 60 - 1)
    assert state(invoice) == ("New", "None")
    shop.pass_time(1)
    assert state(invoice) == ("Expired", "None")
    assert shop.events() == ["InvoiceCreated", "InvoiceExpired"]


def test_money_that_comes_late_leaves_it_expired_for_ever(shop: Counter) -> None:
    invoice = shop.order("0.001")
    shop.pass_time(HOUR)
    shop.events()
    shop.pay(invoice, 100_000)
    assert state(invoice) == ("Expired", "PaidLate")
    assert shop.events() == ["InvoiceReceivedPayment", "InvoicePaidAfterExpiration"]
    shop.mine(6)
    shop.pass_time(300 * DAY)
    assert state(invoice) == ("Expired", "PaidLate")
    assert standing(invoice) == "Settled"
    (settled,) = shop.told
    assert (settled.type, settled.own["afterExpiration"]) == ("InvoicePaymentSettled", True)


def test_more_than_the_price_is_over_only_while_it_is_processed(shop: Counter) -> None:
    over = shop.order("0.001")
    shop.pay(over, 150_000)
    assert state(over) == ("Processing", "PaidOver")
    shop.mine()
    assert state(over) == ("Settled", "PaidOver")
    exact = shop.order("0.001")
    shop.pay(exact, 100_000)
    shop.mine()
    shop.pay(exact, 5_000)
    shop.mine()
    assert state(exact) == ("Settled", "None")
    assert [str(p.state) for p in exact.payments] == ["Settled", "Settled"]


def test_a_replaced_payment_no_longer_counts_and_nobody_is_told(shop: Counter) -> None:
    invoice = shop.order("0.001", expires_after=600)
    tx = shop.pay(invoice, 100_000)
    shop.events()
    shop.replace(tx, [TxOut(1_000, shop.alice.script)])
    assert state(invoice) == ("New", "None")
    assert standing(invoice) == "Invalid"
    assert shop.events() == []
    shop.mine()
    shop.pass_time(DAY)
    assert state(invoice) == ("Expired", "None")


def test_a_replacement_that_pays_again_is_another_payment(shop: Counter) -> None:
    invoice = shop.order("0.001")
    tx = shop.pay(invoice, 100_000)
    script = invoice.method(ON_CHAIN).script
    assert script
    shop.replace(tx, [TxOut(100_000, script)])
    assert state(invoice) == ("Processing", "None")
    shop.mine()
    assert [str(p.state) for p in invoice.payments] == ["Invalid", "Settled"]
    assert state(invoice) == ("Settled", "None")


def test_what_does_not_confirm_in_time_is_invalid_and_its_money_settles_later(
    shop: Counter,
) -> None:
    invoice = shop.order("0.001")
    shop.pay(invoice, 100_000)
    shop.pass_time(2 * DAY)
    assert state(invoice) == ("Invalid", "None")
    assert shop.events()[-1] == "InvoiceInvalid"
    shop.mine()
    assert state(invoice) == ("Invalid", "None")
    assert standing(invoice) == "Settled"
    assert shop.events() == ["InvoicePaymentSettled"]


def test_a_slow_store_waits_for_six_confirmations_and_a_reorg_sets_it_back(
    shop: Counter,
) -> None:
    invoice = shop.order("0.001", speed=Speed.LOW)
    shop.pay(invoice, 100_000)
    shop.mine(5)
    assert state(invoice) == ("Processing", "None")
    shop.chain.reorg(5)
    shop.office.look()
    assert standing(invoice) == "Processing"
    shop.mine(5)
    assert state(invoice) == ("Processing", "None")
    shop.mine()
    assert state(invoice) == ("Settled", "None")


def test_a_part_that_was_settled_is_lost_when_a_reorg_loses_it(shop: Counter) -> None:
    invoice = shop.order("0.001", expires_after=600)
    shop.pay(invoice, 40_000)
    shop.mine()
    assert standing(invoice) == "Settled"
    shop.chain.reorg(1, keep=False)
    shop.office.look()
    assert standing(invoice) == "Invalid"
    assert invoice.accounted == []


def test_what_settled_an_invoice_is_not_looked_at_again(shop: Counter) -> None:
    invoice = shop.order("0.001")
    shop.pay(invoice, 100_000)
    shop.mine()
    shop.chain.reorg(1, keep=False)
    shop.office.look()
    assert state(invoice) == ("Settled", "None")
    assert standing(invoice) == "Settled"


def test_high_speed_needs_no_confirmation_unless_the_payment_can_be_replaced(
    shop: Counter,
) -> None:
    quick = shop.order("0.001", speed=Speed.HIGH)
    shop.events()
    shop.pay(quick, 100_000, sequence=0xFFFFFFFE)
    assert state(quick) == ("Settled", "None")
    assert shop.events()[:2] == ["InvoicePaymentSettled", "InvoiceReceivedPayment"]
    slow = shop.order("0.001", speed=Speed.HIGH)
    shop.pay(slow, 100_000)
    assert state(slow) == ("Processing", "None")
    shop.mine()
    assert state(slow) == ("Settled", "None")


def test_the_first_payment_of_a_top_up_is_its_price(shop: Counter) -> None:
    invoice = shop.order("0", top_up=True)
    shop.pay(invoice, 70_000)
    assert invoice.terms.price == Decimal("0.0007")
    assert state(invoice) == ("Processing", "None")
    shop.pay(invoice, 10_000)
    assert state(invoice) == ("Processing", "PaidOver")
    late = shop.order("0", top_up=True)
    shop.pass_time(HOUR)
    shop.pay(late, 42_000)
    assert (state(late), late.terms.price) == (("Expired", "PaidLate"), Decimal(0))


def test_a_price_of_nothing_is_settled_at_once_with_no_way_to_pay(shop: Counter) -> None:
    invoice = shop.order("0", "USD")
    assert state(invoice) == ("Settled", "None")
    assert invoice.methods == ()
    assert shop.events() == ["InvoiceCreated", "InvoiceProcessing", "InvoiceSettled"]


def test_marking_by_hand_forgets_what_was(shop: Counter) -> None:
    invoice = shop.order("0.001")
    shop.pass_time(HOUR)
    shop.pay(invoice, 100_000)
    shop.events()
    shop.office.mark(invoice.id, Status.SETTLED)
    assert state(invoice) == ("Settled", "Marked")
    shop.office.mark(invoice.id, Status.INVALID)
    assert state(invoice) == ("Invalid", "Marked")
    shop.mine()
    assert state(invoice) == ("Invalid", "Marked")
    assert shop.events() == ["InvoiceSettled", "InvoiceInvalid", "InvoicePaymentSettled"]


def test_a_settled_invoice_cannot_be_marked(shop: Counter) -> None:
    invoice = shop.order("0", "USD")
    with pytest.raises(AssertionError):
        shop.office.mark(invoice.id, Status.INVALID)


def test_archiving_editing_and_deleting_tell_nobody(shop: Counter) -> None:
    invoice = shop.order("1.00", "USD", metadata={"orderId": "A"})
    shop.pass_time(HOUR)
    shop.events()
    shop.office.archive(invoice.id)
    shop.office.edit(invoice.id, {"orderId": "B"})
    assert (invoice.archived, invoice.metadata) == (True, {"orderId": "B"})
    shop.pass_time(200 * DAY)
    assert shop.store.invoices == {}
    assert shop.events() == []


def test_a_second_payment_brings_the_network_fee(shop: Counter) -> None:
    shop.store.policy = Policy(network_fee=Decimal("0.000002"))
    invoice = shop.order("0.001")
    shop.pay(invoice, 40_000)
    shop.pay(invoice, 60_000)
    assert state(invoice) == ("New", "PaidPartial")
    assert [p.fee for p in invoice.payments] == [0, Decimal("0.000002")]
    shop.pay(invoice, 400)
    assert state(invoice) == ("Processing", "None")


def test_a_tolerance_is_enough(shop: Counter) -> None:
    invoice = shop.order("0.001", tolerance="5")
    shop.pay(invoice, 95_000)
    assert state(invoice) == ("Processing", "None")


def test_other_coins_pay_at_their_own_rate(shop: Counter) -> None:
    methods = (ON_CHAIN, "LTC-CHAIN")
    invoice = shop.order("50.00", "USD", methods=methods, rates={"LTC-CHAIN": "100"})
    shop.office.pay_other_coin(invoice.id, "LTC-CHAIN", Decimal("0.5"))
    assert state(invoice) == ("Settled", "None")
    assert invoice.methods[1].currency == "LTC"


def test_what_is_paid_to_an_old_invoice_while_the_server_is_down_is_never_seen(
    shop: Counter,
) -> None:
    cold, open_ = shop.order("0.001"), shop.order("0.001", expires_after=6000)
    shop.pass_time(HOUR)
    for invoice in (cold, open_):
        script = invoice.method(ON_CHAIN).script
        assert script
        shop.chain.mine([shop.alice.pay([TxOut(100_000, script)])])
    shop.office.catch_up()
    assert state(cold) == ("Expired", "None")
    assert state(open_) == ("Settled", "None")
    shop.pay(cold, 100_000)
    assert state(cold) == ("Expired", "PaidLate")


def test_an_output_can_pay_invoices_of_two_stores_that_share_a_wallet(shop: Counter) -> None:
    first = shop.order("0.001")
    script = first.method(ON_CHAIN).script
    second = shop.office.order(
        shop.office.open_store("other"), Order("0.001", "BTC", script=script)
    )
    shop.pay(first, 100_000)
    assert state(first) == state(second) == ("Processing", "None")
    assert first.payments[0].id == second.payments[0].id


def test_a_refund_is_paid_out_when_its_transaction_confirms(shop: Counter) -> None:
    invoice = shop.order("0.001")
    shop.pay(invoice, 100_000)
    shop.mine()
    shop.events()
    pull = shop.office.refund(invoice.id, 40_000)
    payout = shop.office.refund_desk.claim(pull, shop.alice.address)
    shop.office.refund_desk.approve(payout)
    tx = shop.alice.pay([TxOut(40_000, shop.alice.script)])
    shop.chain.accept(tx)
    shop.office.refund_desk.pay_out(payout, tx)
    assert payout.state is PayoutState.IN_PROGRESS
    shop.mine()
    assert (payout.state, payout.proof) == (PayoutState.COMPLETED, tx.txid)
    told = ["InvoiceRefund", "PayoutCreated", "PayoutApproved", "PayoutUpdated", "PayoutUpdated"]
    assert shop.events() == told
    assert state(invoice) == ("Settled", "None")
