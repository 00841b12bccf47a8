"""SIGHUP regroups the past: what is configured now decides what belongs together."""

import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

pytest.importorskip("pbk")

from tests.rig.node import Json, Node

from raised.clock import now
from raised_simnet.btcpay.order import Order
from raised_simnet.btcpay.shop_player import StoryClock
from raised_simnet.world import World

SATS = 21_000
CAMPAIGN = """
[[campaign]]
slug = "ice"
title = "Sea ice"
btcpay = [{ store = "shop", metadata = { key = "film", equals = "ice" } }]
"""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(relays=1, clock=StoryClock(now() - 3600)) as world:
        shop = world.open_shop("shop")
        for film in ("ice", "fire"):
            order = Order(str(SATS), "SATS", metadata={"film": film, "buyerEmail": "a@b.example"})
            invoice = world.btcpay.office.order(shop.store, order)
            world.btcpay.office.pay_lightning(invoice.id, SATS * 1000)
        yield world


@pytest.fixture
async def box(world: World, tmp_path: Path) -> AsyncIterator[Node]:
    secrets = world.secrets(tmp_path)
    async with Node(tmp_path, world.settings(), **secrets) as box:
        await box.start()
        yield box


def raised(sats: int) -> Callable[[Json], bool]:
    def is_so(answer: Json) -> bool:
        found: int = answer.get("btcpay", {}).get("raised_sats", -1)
        return found == sats

    return is_so


def rewrite(box: Node, text: str) -> None:
    Path(box.environment["RAISED_CONFIG"]).write_text(text)
    box.daemon.signal(signal.SIGHUP)


async def test_a_new_campaign_takes_what_was_paid_before_it(box: Node, world: World) -> None:
    """Its rule reads metadata that was not kept until now, so the store is read anew."""
    await box.until("/api/v1/campaigns/shop", raised(2 * SATS))
    rewrite(box, world.settings() + CAMPAIGN)
    await box.until("/api/v1/campaigns/ice", raised(SATS))
    await box.until("/api/v1/campaigns/shop", raised(SATS))
    assert await box.is_consistent()
    rewrite(box, world.settings())
    await box.until("/api/v1/campaigns/shop", raised(2 * SATS))
    assert (await box.client.get("/api/v1/campaigns/ice")).status_code == 404
    assert await box.is_consistent()
