import tomllib

import httpx
import pytest

pytest.importorskip("pbk")

from raised.domain.tx import TxOut
from raised_simnet.nostr_event import sign_event
from raised_simnet.relays import stored
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
