"""Whatever two stores and a chain tell, and however often: the ledger follows from the facts."""

import random
from typing import Any

import pytest
from tests.record.conftest import Founder, Ledger, World
from tests.record.ledger_reads import assert_consistent
from tests.rig.store_observations import (
    START,
    StoreObservations,
    coin,
    invoice,
    payment,
    payout,
    pull,
)

from raised.db import schema
from raised.domain.btcpay.invoice import Invoice, Payment
from raised.domain.campaign import Campaign, StoreRule
from raised.domain.observation import CampaignsConfigured, InvoicesGone, Observation

IDS = ("a", "b", "c", "d")
CAMPAIGNS = (
    (),
    (Campaign("ice", "Ice", rules=(StoreRule("shop", order_id_prefix="ICE"),)),),
    (Campaign("all", "All", rules=(StoreRule("shop"), StoreRule("stall"))),),
)


@pytest.fixture
def ledger(regtest_ledger: Ledger) -> Any:
    return regtest_ledger


class Chance:
    """Random answers about a few invoices and coins, some of them stage outputs."""

    def __init__(self, seed: int, coins: list[str]) -> None:
        self.random = random.Random(seed)
        self.coins = coins

    def invoice(self, invoice_id: str) -> Invoice:
        chosen = self.random.sample(self.coins, self.random.randint(0, 3))
        payments = tuple(self.payment(payment_id) for payment_id in chosen)
        return invoice(
            invoice_id,
            payments=self.random.choice([payments, payments, payments, None]),
            status=self.random.choice(["New", "Processing", "Settled", "Expired", "Invalid"]),
            metadata=self.random.choice([{}, {"orderId": "ICE-1"}]),
            unreadable_payments=self.random.choice([0, 0, 0, 1]),
        )

    def payment(self, reference: str) -> Payment:
        status = self.random.choice(["Settled", "Settled", "Processing", "Invalid", "Other"])
        value = self.random.choice(["0.001", "0.00200000001", "0"])
        at = START + self.random.choice([10, 10, 20, 5000])
        return payment(reference, value, status, at=at)  # type: ignore[arg-type]

    def step(self, shop: StoreObservations) -> Observation:
        match self.random.randint(0, 9):
            case 0:
                return CampaignsConfigured(shop.now, self.random.choice(CAMPAIGNS), {"shop": True})
            case 1:
                return InvoicesGone(shop.label, shop.now, (self.random.choice(IDS),))
            case 2:
                name = "Refund " + self.random.choice(IDS)
                state = self.random.choice(["Completed", "Completed", "Cancelled"])
                return shop.refunds_seen([pull("pp", name)], payout("po", "pp", state=state))
            case 3:
                return shop.deliveries_done({}, pp=self.random.choice(IDS))
            case 4:
                return shop.sweep_done("full", shop.now - self.random.randint(0, 5))
        shown = [
            self.invoice(invoice_id)
            for invoice_id in self.random.sample(IDS, self.random.randint(1, 3))
        ]
        origin = self.random.choice(["delivery", "active", "full"])
        asked_at = shop.now - self.random.choice([0, 0, 0, 30])
        return shop.invoices_seen(*shown, origin=origin, asked_at=asked_at)


@pytest.mark.parametrize("seed", range(3))
async def test_every_step_leaves_a_record_without_differences_and_twice_is_once(
    ledger: Ledger, world: World, founder: Founder, seed: int
) -> None:
    one, two = founder.invested(label="one"), founder.invested(label="two")
    staged = [str(stage.outpoint) for invested in (one, two) for stage in invested.coins]
    chance = Chance(seed, [coin(1), coin(2), coin(3), "ab" * 32, *staged])
    shops = [StoreObservations("shop"), StoreObservations("stall")]
    await ledger.see(world.told(founder.event), world.mine(founder.found()))
    mined = False
    for number in range(30):
        step: Observation = chance.step(chance.random.choice(shops))
        if number % 6 == 5:
            step = world.undo(1) if mined else world.mine(one.tx, two.tx, fork=str(number))
            mined = not mined
        await ledger.see(step)
        await assert_consistent(ledger)
        before, told = await ledger.state(), await ledger.rows(schema.change)
        await ledger.see(step)
        assert await ledger.state() == before
        assert await ledger.rows(schema.change) == told


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_booked_follows_from_the_last_answers_alone(
    ledger: Ledger, second_ledger: Ledger, seed: int
) -> None:
    """Where no two claim one coin: there the first that was booked keeps it."""
    second_ledger.policy = ledger.policy
    last: dict[tuple[str, str], Invoice] = {}
    shops = [StoreObservations("shop"), StoreObservations("stall")]
    for number in range(30):
        place = number % 2
        key = f"i{number % 3}"
        own = Chance(
            seed * 100 + number, [coin(100 * place + 10 * (number % 3) + n) for n in range(4)]
        )
        shown = own.invoice(key)
        shown = invoice(key, *(shown.payments or ()), status=shown.status, metadata=shown.metadata)
        await ledger.see(shops[place].invoices_seen(shown))
        last[shops[place].label, key] = shown
    for (label, _), shown in reversed(last.items()):
        await second_ledger.see(StoreObservations(label).invoices_seen(shown))
    await assert_consistent(second_ledger)
    for name in ("movement", "hour_total"):
        assert (await ledger.state())[name] == (await second_ledger.state())[name]
    figures = ("store", "id", "campaign", "counted_msats", "pending_msats", "first_counted_at")
    kept = [
        [{name: row[name] for name in figures} for row in await record.rows(schema.invoice)]
        for record in (ledger, second_ledger)
    ]
    assert sorted(kept[0], key=repr) == sorted(kept[1], key=repr)
