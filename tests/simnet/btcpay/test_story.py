"""The shops' part of the full story: it plays, repeats, tells of itself, and adds up."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("pbk")

from raised_simnet.actors.nostr_event import Event as NostrEvent
from raised_simnet.actors.wallet import Wallet, fund
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.btcpay.api_version import V2_4_1
from raised_simnet.btcpay.invoice import InvoiceState, Status
from raised_simnet.btcpay.invoice_json import invoice_json
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.refund import PayoutState
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.shop import open_shop
from raised_simnet.btcpay.shop_player import Receipts, ShopPlayer, StoryClock
from raised_simnet.btcpay.shop_script import ShopScript
from raised_simnet.btcpay.shop_stories import KIOSK, STUDIO
from raised_simnet.btcpay.webhook_event import Event
from raised_simnet.story.oracle import summary
from raised_simnet.story.player import Player, chain_start
from raised_simnet.story.steps import Invests
from raised_simnet.story.stories import full_story
from raised_simnet.story.storyboard import Story, Storyboard

START = 1768435200  # 2026-01-15
HOST = "http://pay"
SEEDS = (0, 3)
Json = dict[str, Any]


class Watched(BTCPayServer):
    """A server of which somebody hears what it tells, as far as it is about invoices."""

    def __init__(self, chain: RegtestChain, clock: StoryClock) -> None:
        self.told: list[str] = []
        self.types: Counter[str] = Counter()
        super().__init__(chain, clock=clock)

    def _tell(self, event: Event) -> None:
        self.types[event.type] += 1
        self.told.append(str(event.subject.get("invoiceId", "")))


@dataclass
class Played:
    """A story that was played: what there is at its end, as data.

    `seen`: each invoice as it was after the last step that told of it. `stages`: coins that are
    locked in projects, as the server writes outpoints.
    """

    receipts: Receipts
    oracle: Json
    invoices: dict[str, Json]
    seen: dict[str, Json]
    types: set[str]
    stages: set[str]
    tip: str


async def nobody_listens(event: NostrEvent, relays: tuple[int, ...] | None) -> None:
    """Relays are no part of what is tested here."""


async def play(story: Story, folder: Path) -> Played:
    with ExitStack() as stack:
        chain = RegtestChain(folder, chain_start(story))
        stack.callback(chain.close)
        clock = StoryClock(story.start_at)
        server = Watched(chain, clock)
        server.start()
        stack.callback(server.stop)
        shops = {label: open_shop(server, label, policy) for label, policy in story.shops.items()}
        counter = ShopPlayer(server, shops, clock)
        player = Player(chain, story, nobody_listens, counter)
        miner = Wallet(chain, "miner")
        fund(chain, miner)
        player.prepare(miner)
        seen: dict[str, Json] = {}
        for step in story.steps:
            await player.perform(step)
            if server.told:
                shown = all_invoices(server)
                seen.update((told, shown[told]) for told in server.told if told)
                server.told.clear()
        oracle = summary(player.book, chain, counter.receipts)
        stages = {
            f"{coin.outpoint.txid}-{coin.outpoint.vout}"
            for paid in player.book.paid.values()
            if isinstance(paid.meaning, Invests)
            for coin in paid.meaning.placement.coins(paid.tx)
        }
        ends = (all_invoices(server), seen, set(server.types), stages, chain.tip_hash)
        return Played(counter.receipts, oracle, *ends)


def all_invoices(server: BTCPayServer) -> dict[str, Json]:
    return {
        invoice.id: invoice_json(invoice, V2_4_1, HOST, with_methods=True)
        for store in server.office.stores.values()
        for invoice in store.invoices.values()
    }


@cache
def played(seed: int, time: int = 1) -> Played:
    """The full story, played for the first or another time. Several tests look at one play."""
    with TemporaryDirectory() as folder:
        return asyncio.run(play(full_story(seed, START, shops=True), Path(folder)))


@pytest.mark.parametrize("seed", SEEDS)
def test_who_fetches_an_invoice_whenever_something_is_told_ends_with_the_truth(seed: int) -> None:
    assert played(seed).seen == played(seed).invoices


def test_the_story_shows_everything_that_can_happen_to_an_invoice() -> None:
    receipts = played(3).receipts
    invoices = receipts.invoices.values()
    states = {(str(i.status), str(i.exceptional)) for i in invoices}
    assert states >= {
        *(("New", "None"), ("Processing", "None"), ("Processing", "PaidOver")),
        *(("Settled", "None"), ("Settled", "PaidOver"), ("Settled", "Marked")),
        *(("Expired", "None"), ("Expired", "PaidPartial"), ("Expired", "PaidLate")),
        *(("Invalid", "None"), ("Invalid", "PaidOver"), ("Invalid", "Marked")),
    }
    standings = {payment.state for i in invoices for payment in i.payments}
    assert standings == set(InvoiceState)
    assert {i.terms.currency for i in invoices} == {"USD", "BTC", "SATS"}
    methods = {payment.method for i in invoices for payment in i.payments}
    assert methods == {"BTC-CHAIN", "BTC-LN", "LTC-CHAIN"}
    assert any(i.archived for i in invoices)
    states_of_payouts = {payout.state for payout in receipts.payouts.values()}
    assert states_of_payouts == {PayoutState.COMPLETED, PayoutState.IN_PROGRESS}
    assert played(3).types == {
        *("InvoiceCreated", "InvoiceReceivedPayment", "InvoicePaymentSettled"),
        *("InvoiceProcessing", "InvoiceSettled", "InvoiceInvalid", "InvoiceExpired"),
        *("InvoiceExpiredPaidPartial", "InvoicePaidAfterExpiration", "InvoiceRefund"),
        *("PayoutCreated", "PayoutApproved", "PayoutUpdated"),
    }


def test_a_story_with_shops_repeats_to_the_last_byte() -> None:
    first, second = played(3), played(3, 2)
    assert first is not second
    assert (first.tip, first.invoices) == (second.tip, second.invoices)
    assert first.oracle == second.oracle


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_agrees_with_a_count_of_all_coins_in_all_stores(seed: int) -> None:
    coins: dict[str, dict[str, int]] = {"Settled": {}, "Processing": {}, "Invalid": {}}
    crossed = 0
    for invoice in played(seed).invoices.values():
        for method in invoice["paymentMethods"]:
            for payment in method["payments"] if method["currency"] == "BTC" else ():
                is_stage = payment["id"] in played(seed).stages
                crossed += is_stage
                if not is_stage:
                    msats = int(Decimal(payment["value"]).scaleb(11))
                    coins[payment["status"]][payment["id"]] = msats
    assert crossed == 2
    shown: Json = played(seed).oracle["btcpay"]
    assert shown["raised_sats"] == sum(coins["Settled"].values()) // 1000
    assert shown["pending_sats"] == sum(coins["Processing"].values()) // 1000


async def test_the_oracle_knows_a_small_market_by_hand(tmp_path: Path) -> None:
    script = Storyboard(1, START, 20)
    studio, kiosk = ShopScript(script, STUDIO), ShopScript(script, KIOSK)
    plain = studio.order(2, "1", Order("0.001", "BTC"))
    studio.pay(2, (plain,), 100_000)
    quick = studio.order(3, "2", Order("5", "SATS"))
    studio.lightning(3, quick, 5_700)
    again = studio.order(3, "3", Order("5", "SATS"))
    studio.lightning(3, again, 5_700)
    both = kiosk.order(4, "4", Order("0.0002", "BTC", script=studio.address(plain)))
    coins = Order("1.00", methods=("BTC-CHAIN", "LTC-CHAIN"), rates={"LTC-CHAIN": "100"})
    kiosk.other_coin(5, kiosk.order(5, "5", coins), "LTC-CHAIN", "0.50")
    cash = kiosk.order(6, "6", Order("9.00"))
    kiosk.mark(6, cash, Status.SETTLED)
    late = kiosk.order(7, "7", Order("0.003", "BTC"))
    kiosk.pay(9, (late,), 300_000)
    kiosk.mark(11, late, Status.INVALID)
    studio.pay_out(12, studio.offer(12, plain, 30_000), 30_000)
    studio.pay_out(12, studio.offer(12, None, 99_000), 99_000)
    open_ = studio.order(19, "8", Order("0.004", "BTC"))
    studio.pay(19, (open_,), 400_000)
    end = await play(script.finish(), tmp_path)
    # The address of `both` had been paid before it was made: it shows that coin, too.
    assert [str(p.value) for p in end.receipts.invoices[both].payments] == ["0.00100000"]
    oracle = end.oracle
    assert oracle["btcpay"] == {
        "raised_sats": 400_011,  # 100,000 + 300,000 + 2 × 5.7: cut once, at the end
        "returned_sats": 30_000,
        "net_sats": 370_011,
        "pending_sats": 400_000,
        "disowned_sats": 300_000,
        "off_platform_invoices": 1,
        "invoices": 8,
        "invoices_by_status": {
            "New": 0,
            "Processing": 1,
            "Settled": 6,
            "Expired": 0,
            "Invalid": 1,
            "Other": 0,
        },
        "other_currencies": [{"currency": "LTC", "amount": "0.5"}],
    }
    assert oracle["totals"] == {
        "raised_sats": 400_011,
        "returned_sats": 30_000,
        "net_sats": 370_011,
        "unconfirmed_sats": 400_000,
        "contributions": 4,
        "contributors": 4,
        "average_contribution_sats": 100_002,
        "median_contribution_sats": 50_002,
    }
