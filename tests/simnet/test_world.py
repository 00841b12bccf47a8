import asyncio
import tomllib
from pathlib import Path

import httpx
import pytest

pytest.importorskip("pbk")

from raised.clock import now
from raised.config.load import load_config
from raised.domain.bitcoin.tx import TxOut
from raised.service.source_settings import store_settings
from raised_simnet.actors.nostr_event import sign_event
from raised_simnet.btcpay.api_version import V1_13
from raised_simnet.btcpay.order import Order
from raised_simnet.http.http_server import Request, Response, WebServer
from raised_simnet.relays.relays import stored
from raised_simnet.world import World


async def test_a_world_starts_works_and_leaves_nothing() -> None:
    event = sign_event(bytes(31) + b"\x05", kind=3030, content="{}", created_at=1)
    async with World(explorers=2) as world:
        alice = world.wallet("alice", coins=3, value=100_000)
        world.chain.accept(alice.pay([TxOut(1000, world.miner.script)]))
        world.chain.mine()
        async with httpx.AsyncClient() as client:
            tips = [await client.get(e.url + "/blocks/tip/hash") for e in world.explorers]
        assert {tip.text for tip in tips} == {world.chain.tip_hash}
        assert alice.balance() > 290_000
        assert await world.publish([event]) == {}
        assert [stored(relay.url, kinds=[3030]) for relay in world.relays] == [[event], [event]]
        settings = tomllib.loads(world.settings())
        assert settings["network"] == "regtest"
        assert [relay["url"] for relay in settings["relay"]] == [r.url for r in world.relays]
        assert len(settings["chain"]["explorer"]) == 2
        urls = [world.explorer.url, *(relay.url.replace("ws:", "http:") for relay in world.relays)]
    async with httpx.AsyncClient() as client:
        for url in urls:
            with pytest.raises(httpx.ConnectError):
                await client.get(url)


async def test_the_same_world_twice_has_the_same_blocks() -> None:
    tips = []
    for _ in range(2):
        async with World(relays=0) as world:
            world.wallet("alice")
            tips.append(world.chain.tip_hash)
    assert tips[0] == tips[1]


async def test_the_product_understands_what_a_world_says_of_its_shops(tmp_path: Path) -> None:
    async with World(relays=1, clock=now) as world:
        for label in ("shop", "sea-ice"):
            world.open_shop(label)
        config = tmp_path / "relays.toml"
        config.write_text(world.settings())
        stores = store_settings(load_config(config, world.secrets(tmp_path)))
    assert [store.label for store in stores] == ["shop", "sea-ice"]
    for store in stores:
        shop = world.shops[store.label]
        assert (store.url, store.store_id) == (world.btcpay.url, shop.store.id)
        assert (store.api_key, store.expects_events) == (shop.key.key, True)


async def test_the_shops_of_a_world_tell_an_address_of_themselves() -> None:
    heard: list[Request] = []

    def hear(request: Request) -> Response:
        heard.append(request)
        return Response()

    inbox = WebServer(hear)
    inbox.start()
    async with World(relays=0, clock=now, dialect=V1_13) as world:
        shop = world.open_shop("shop")
        world.ring(inbox.url)
        world.btcpay.office.order(shop.store, Order("1.00"))
        assert await asyncio.to_thread(world.btcpay.drained)
    inbox.stop()
    (request,) = heard
    assert request.path == "/webhooks/btcpay/shop"
    assert request.headers["user-agent"] == "BTCPayServer/1.13.7"
