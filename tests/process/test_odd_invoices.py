"""Odd invoices, lists and routes, whole stack: the rest counts, what is odd is named to whoever may
know, and heals.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pbk")

from tests.rig.node import Node

from raised.clock import now
from raised_simnet.btcpay.api_version import V2_4_5
from raised_simnet.btcpay.faults import ApiFaults
from raised_simnet.btcpay.invoice import Exceptional, InvoiceState, Status
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.shop import Shop, open_shop
from raised_simnet.world import World

INVOICES = 60
SATS = 1000
DAY = 86_400
CART = {"cart": "x" * 400_000}
LISTS = "stores/:store/invoices"
OF_ONE = ("stores/:store/invoices/:invoice", "stores/:store/invoices/:invoice/payment-methods")
PAYOUTS = "stores/:store/payouts"
Json = dict[str, Any]


@dataclass
class Street:
    """Shops side by side, each on a server of its own, and a box that follows them all."""

    box: Node
    servers: dict[str, BTCPayServer]
    shops: dict[str, Shop]
    headers: dict[str, str]

    def sell(self, label: str, **order: Any) -> str:
        office = self.servers[label].office
        invoice = office.order(self.shops[label].store, Order("0.00001", "BTC", **order))
        office.pay_lightning(invoice.id, SATS * 1000)
        return invoice.id

    async def problems(self, label: str) -> list[Json]:
        """What is wrong with this store, for whoever may see invoices."""
        answer = await self.box.client.get("/api/v1/problems?limit=200", headers=self.headers)
        return [
            row
            for row in answer.json()["items"]
            if row["source"] == label and row["severity"] != "warning"
        ]

    async def refresh(self) -> None:
        answer = await self.box.client.post("/api/v1/refresh", headers=self.headers)
        assert answer.is_success

    async def raised(self, label: str, sats: int) -> None:
        await self.box.until(
            f"/api/v1/campaigns/{label}", lambda shown: shown["btcpay"]["raised_sats"] == sats
        )


LABELS = ("spoilt", "heavy", "unread", "payouts", "doubled")


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(relays=1))
        servers: dict[str, BTCPayServer] = {}
        shops: dict[str, Shop] = {}
        secrets: dict[str, str] = {}
        for label in LABELS:
            servers[label] = BTCPayServer(world.chain, dialect=V2_4_5, clock=now, seed=label)
            servers[label].start()
            stack.callback(servers[label].stop)
            shops[label] = open_shop(servers[label], label)
            secrets |= shops[label].secrets(tmp_path)
        tables = (shop.settings(servers[label].url) for label, shop in shops.items())
        box = Node(tmp_path, world.settings() + "".join(tables), **secrets)
        await stack.enter_async_context(box)
        await box.make_record()
        made = await box.command("keys", "new", "--scope", "admin", "--scope", "invoices:read")
        yield Street(box, servers, shops, {"Authorization": f"Bearer {made.out.strip()}"})


async def test_what_is_odd_costs_nothing_else_and_is_named(street: Street) -> None:
    odd = _prepare(street)
    await street.box.start()
    await street.raised("spoilt", INVOICES * SATS)
    await street.raised("heavy", INVOICES * SATS)
    await street.raised("unread", (INVOICES - 1) * SATS)
    (unread,) = await street.problems("unread")
    assert unread["subject"] == odd["unread"]
    assert odd["unread"] not in unread["detail"]
    public = await street.box.get("/api/v1/problems", limit=200)
    assert odd["unread"] not in str(public)
    assert not await street.problems("spoilt")
    assert not await street.problems("heavy")
    await street.raised("doubled", SATS)
    await _pay_late(street, odd["payouts"])
    _double_spend(street, odd["doubled"])
    await street.refresh()
    await street.raised("payouts", SATS)
    (payouts,) = await street.problems("payouts")
    assert "the list of payouts" in payouts["detail"]
    await street.raised("doubled", 0)
    assert not await street.problems("doubled")
    for server in street.servers.values():
        server.trouble = ApiFaults()
    await street.raised("unread", INVOICES * SATS)
    await street.box.until(
        "/health/ready",
        lambda shown: not [row for row in shown["problems"] if row["source"] in LABELS],
    )
    assert await street.box.is_consistent()


def _prepare(street: Street) -> dict[str, str]:
    """Invoices of each shop, and its trouble; the odd one of each."""
    spoilt = [street.sell("spoilt") for _ in range(INVOICES)]
    for _ in range(INVOICES):
        street.sell("heavy", metadata=CART)
    unread = [street.sell("unread") for _ in range(INVOICES)]
    late = street.servers["payouts"].office.order(
        street.shops["payouts"].store, Order("0.00001", "BTC")
    )
    late.status, late.terms.created_at = Status.EXPIRED, now() - 10 * DAY
    late.terms.expires_at = late.terms.created_at + 900
    doubled = street.sell(
        "doubled",
        methods=("BTC-LN", "BTC-OTC"),
        rates={"BTC-OTC": "60000"},
        currencies={"BTC-OTC": "EUR"},
    )
    street.servers["spoilt"].trouble = ApiFaults(
        status=500, only=(LISTS,), spoilt_by=(spoilt[23],), only_inline=True
    )
    street.servers["unread"].trouble = ApiFaults(
        status=500, only=(LISTS, *OF_ONE), spoilt_by=(unread[7],), only_inline=True
    )
    street.servers["payouts"].trouble = ApiFaults(status=500, only=(PAYOUTS,))
    return {"unread": unread[7], "payouts": late.id, "doubled": doubled}


async def _pay_late(street: Street, invoice_id: str) -> None:
    """The record has the invoice unpaid; then it is paid, and no webhook tells."""
    await street.box.until(
        "/api/v1/stores",
        lambda shown: any(
            item["name"] == "payouts" and item["last_pull_at"] for item in shown["items"]
        ),
    )
    server = street.servers["payouts"]
    with server.office.lock:
        invoice = server.office.find(invoice_id)
        invoice.terms.expires_at = now() + 900
        server.office.pay_lightning(invoice_id, SATS * 1000)
        invoice.status, invoice.exceptional = Status.EXPIRED, Exceptional.PAID_LATE
        invoice.terms.expires_at = invoice.terms.created_at + 900


def _double_spend(street: Street, invoice_id: str) -> None:
    """Its payment counts no more."""
    server = street.servers["doubled"]
    with server.office.lock:
        invoice = server.office.find(invoice_id)
        invoice.payments[0].state = InvoiceState.INVALID
        invoice.status, invoice.exceptional = Status.NEW, Exceptional.NONE
