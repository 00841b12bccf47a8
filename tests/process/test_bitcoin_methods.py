"""Payment methods of plugins: shown apart and warned of until the configuration says they count."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pbk")

from tests.rig.node import Node

from raised.clock import now
from raised_simnet.btcpay.api_version import V2_4_5
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.shop import Shop, open_shop, ring
from raised_simnet.world import World

STORES = "/api/v1/stores"
SUMMARY = "/api/v1/summary"
RATES = {"CASH": "1", "BTC-ARK": "100000000", "Cash in hand": "60000"}
CURRENCIES = {"CASH": "SATS", "Cash in hand": "EUR"}
Json = dict[str, Any]


@dataclass
class Market:
    """A shop that takes cash and Ark, and a box that follows it."""

    box: Node
    settings: str
    server: BTCPayServer
    shop: Shop

    def sell(self, method: str, amount: str) -> None:
        """An invoice in SATS that is paid by this method."""
        methods = ("BTC-LN", *RATES)
        order = Order("10000", "SATS", methods=methods, rates=RATES, currencies=CURRENCIES)
        invoice = self.server.office.order(self.shop.store, order)
        if method == "BTC-LN":
            self.server.office.pay_lightning(invoice.id, int(amount) * 1000)
        else:
            self.server.office.pay_other_coin(invoice.id, method, Decimal(amount))

    def write(self, shop_settings: str) -> None:
        path = Path(self.box.environment["RAISED_CONFIG"])
        path.write_text(self.settings + shop_settings, encoding="utf-8")

    def reload(self, shop_settings: str) -> None:
        self.write(shop_settings)
        self.box.daemon.signal(signal.SIGHUP)


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(relays=1))
        server = BTCPayServer(world.chain, dialect=V2_4_5, clock=now, seed="market")
        server.start()
        stack.callback(server.stop)
        shop = open_shop(server, "shop")
        settings = world.settings()
        text = settings + shop.settings(server.url)
        box = Node(tmp_path, text, **shop.secrets(tmp_path))
        await stack.enter_async_context(box)
        await box.start()
        ring(server, [shop], f"http://127.0.0.1:{box.port}")
        yield Market(box, settings, server, shop)


def raised(sats: int) -> Any:
    def shown(summary: Json) -> bool:
        return bool(summary["btcpay"]["raised_sats"] == sats)

    return shown


def warned_of(*methods: str) -> Any:
    def shown(answer: Json) -> bool:
        text = " ".join(answer["items"][0]["warnings"])
        named = {method for method in ("CASH", "BTC-ARK", "Cash in hand") if f" {method} " in text}
        return named == set(methods) and ("bitcoin_methods" in text) == bool(methods)

    return shown


async def test_a_plugins_money_counts_once_the_store_says_that_it_is_bitcoin(
    market: Market,
) -> None:
    box = market.box
    market.sell("BTC-LN", "10000")
    market.sell("BTC-ARK", "0.003")
    market.sell("CASH", "225000")
    market.sell("Cash in hand", "12.5")
    await box.until(SUMMARY, lambda shown: len(shown["btcpay"]["other_currencies"]) == 3)
    shown = await box.until(SUMMARY, raised(10_000))
    assert shown["btcpay"]["other_currencies"] == [
        {"currency": "BTC", "amount": "0.003"},
        {"currency": "EUR", "amount": "12.5"},
        {"currency": "SATS", "amount": "225000"},
    ]
    await box.until(STORES, warned_of("CASH", "BTC-ARK"))
    settings = market.shop.settings(market.server.url)
    market.reload(f'{settings}bitcoin_methods = ["btc-ark"]\n')
    await box.until(SUMMARY, raised(310_000))
    answer = await box.until(STORES, warned_of("CASH"))
    assert answer["items"][0]["state"] == "ok"
    market.sell("BTC-ARK", "0.00000001")
    await box.until(SUMMARY, raised(310_001))
    assert await box.is_consistent()
    market.reload(settings)
    await box.until(SUMMARY, raised(10_000))
    await box.until(STORES, warned_of("CASH", "BTC-ARK"))
    movements = await box.items("/api/v1/movements")
    assert sum(row["net_sats"] for row in movements) == 10_000
    assert await box.is_consistent()


async def test_the_setting_corrects_the_past_at_a_start_too(market: Market) -> None:
    box = market.box
    market.sell("BTC-ARK", "0.003")
    market.sell("BTC-LN", "10000")
    await box.until(SUMMARY, raised(10_000))
    await box.until(STORES, warned_of("BTC-ARK"))
    await box.daemon.stop()
    settings = market.shop.settings(market.server.url)
    market.write(f'{settings}bitcoin_methods = ["BTC-ARK"]\n')
    await box.daemon.start()
    await box.until(SUMMARY, raised(310_000))
    await box.until(STORES, warned_of())
