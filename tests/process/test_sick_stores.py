"""Stores that refuse, break off or are away: health names each, the others go on, all recover."""

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
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.server import BTCPayServer
from raised_simnet.btcpay.shop import Shop, open_shop, ring
from raised_simnet.world import World

HEALTHY = "healthy"
AWAY = "away"
TROUBLES = {
    "revoked": ApiFaults(status=401),
    "forbidden": ApiFaults(status=403),
    "limited": ApiFaults(status=429),
    "broken": ApiFaults(status=500),
    "behind-a-proxy": ApiFaults(status=502),
    "pages": ApiFaults(html=True),
    "cut-off": ApiFaults(cut=True),
}
LOCKED_OUT = {"revoked", "forbidden"}  # asked again after minutes only
LABELS = (HEALTHY, AWAY, *TROUBLES)
Json = dict[str, Any]


@dataclass
class Street:
    """Shops side by side, each on a server of its own, and a box that follows them all."""

    box: Node
    servers: dict[str, BTCPayServer]
    shops: dict[str, Shop]

    async def refresh(self) -> None:
        made = await self.box.command("keys", "new", "--scope", "admin")
        header = {"Authorization": f"Bearer {made.out.strip()}"}
        assert (await self.box.client.post("/api/v1/refresh", headers=header)).is_success

    def sell(self, label: str, msats: int) -> None:
        office = self.servers[label].office
        invoice = office.order(self.shops[label].store, Order("0.001", "BTC"))
        office.pay_lightning(invoice.id, msats)


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World(relays=1))
        servers: dict[str, BTCPayServer] = {}
        shops: dict[str, Shop] = {}
        for label in LABELS:
            servers[label] = BTCPayServer(world.chain, dialect=V2_4_5, clock=now, seed=label)
            servers[label].start()
            stack.callback(servers[label].stop)
            shops[label] = open_shop(servers[label], label)
        tables = (shop.settings(servers[label].url) for label, shop in shops.items())
        secrets: dict[str, str] = {}
        for shop in shops.values():
            secrets |= shop.secrets(tmp_path)
        box = Node(tmp_path, world.settings() + "".join(tables), **secrets)
        await stack.enter_async_context(box)
        await box.start()
        for label, shop in shops.items():
            ring(servers[label], [shop], f"http://127.0.0.1:{box.port}")
        yield Street(box, servers, shops)


def named(health: Json) -> dict[str, str]:
    """What is wrong, by store."""
    return {row["source"]: row["code"] for row in health["problems"]}


def explained(health: Json) -> bool:
    return all(len(row["detail"].split()) > 2 for row in health["problems"])


async def test_each_trouble_is_named_and_costs_nobody_else_anything(street: Street) -> None:
    for label, trouble in TROUBLES.items():
        street.servers[label].trouble = trouble
    street.servers[AWAY].unreachable(unreachable=True)
    await street.refresh()
    street.sell(HEALTHY, 100_000_000)
    sick = set(LABELS) - {HEALTHY}
    health = await street.box.until("/health/ready", lambda shown: set(named(shown)) == sick)
    codes = named(health)
    assert codes["revoked"] == "unauthenticated"
    assert codes["forbidden"] == "missing_permission"
    assert codes[AWAY] == "unreachable"
    assert codes["broken"] == codes["behind-a-proxy"] == codes["limited"] == "busy"
    assert explained(health)
    await street.box.until(
        "/api/v1/summary", lambda shown: shown["btcpay"]["raised_sats"] == 100_000
    )
    for label in LABELS:
        street.servers[label].trouble = ApiFaults()
        if label in sick:
            street.sell(label, 50_000_000)
    street.servers[AWAY].unreachable(unreachable=False)
    recovered = len(sick - LOCKED_OUT)
    await street.box.until(
        "/api/v1/summary",
        lambda shown: shown["btcpay"]["raised_sats"] == 100_000 + recovered * 50_000,
    )
    await street.box.until("/health/ready", lambda shown: set(named(shown)) == LOCKED_OUT)
