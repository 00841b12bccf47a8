"""Headers downwards from a block that is known: only what it is built on is believed."""

import pytest
from tests.chain.ancestry.test_disputes import CHAIN, LENGTH, Speaker

from raised.chain.ancestry.header_links import FOREIGN, HeaderLinks
from raised.domain.bitcoin.block import Header
from raised.errors import BadData

PIN = (1000, CHAIN[1000].hash)


async def _down(strands: HeaderLinks, explorer: Speaker, height: int) -> int:
    """Walk down to a height; with how many requests."""
    before = explorer.requests
    while not await strands.descend(explorer, height):
        pass
    return explorer.requests - before


async def test_every_block_below_the_root_is_known_once_it_was_read() -> None:
    strands, explorer = HeaderLinks(None), Speaker("one")
    strands.root(LENGTH - 1, CHAIN[-1].hash)
    assert strands.pages_to(2500) == await _down(strands, explorer, 2500) == 50
    assert [strands.at(at) for at in range(2500, LENGTH)] == [one.hash for one in CHAIN[2500:]]
    assert strands.at(2489) is None
    assert await _down(strands, explorer, 2700) == 0
    await _down(strands, explorer, 0)
    assert [strands.at(at) for at in range(LENGTH)] == [one.hash for one in CHAIN]
    assert strands.at(-1) is None


async def test_a_new_root_joins_what_was_read_below_the_former() -> None:
    strands, explorer = HeaderLinks(None), Speaker("one")
    strands.root(2000, CHAIN[2000].hash)
    await _down(strands, explorer, 1500)
    strands.root(2100, CHAIN[2100].hash)
    assert strands.at(1800) is None
    assert await _down(strands, explorer, 1500) == 10
    assert strands.at(1800) == CHAIN[1800].hash


async def test_what_was_read_below_another_chain_is_not_joined() -> None:
    strands, explorer = HeaderLinks(None), Speaker("one")
    strands.root(2000, "aa" * 32)
    strands.root(2100, CHAIN[2100].hash)
    assert await _down(strands, explorer, 1990) == 11
    assert strands.at(2000) == CHAIN[2000].hash


async def test_below_the_pinned_block_the_walk_begins_there() -> None:
    strands, explorer = HeaderLinks(PIN), Speaker("one")
    strands.root(2000, CHAIN[2000].hash)
    assert strands.above(900) == PIN
    assert strands.above(1900) == (2000, CHAIN[2000].hash)
    assert await _down(strands, explorer, 900) == 10
    assert strands.at(900) == CHAIN[900].hash
    assert strands.at(1900) is None


@pytest.mark.parametrize("at", [1500, 1495])
async def test_a_block_that_ours_does_not_name_is_refused(at: int) -> None:
    class Liar(Speaker):
        async def headers(self, at: int | None = None) -> tuple[tuple[int, Header], ...]:
            page = await super().headers(at)
            if any(height == 1490 for height, _ in page):
                raise BadData(self.name, "does not link", "unlinked")
            return page

    strands, explorer = HeaderLinks(None), Liar("liar")
    strands.root(at, CHAIN[at].hash if at == 1495 else "aa" * 32)
    with pytest.raises(BadData) as caught:
        await _down(strands, explorer, 1400)
    assert caught.value.code == FOREIGN
