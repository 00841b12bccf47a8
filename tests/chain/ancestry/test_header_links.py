"""Headers downwards from a block that is known: only what it is built on is believed."""

import pytest
from tests.chain.ancestry.test_disputes import CHAIN, LENGTH, HeaderExplorer

from raised.chain.ancestry.header_links import FOREIGN_BLOCK, HeaderLinks
from raised.domain.bitcoin.block import Header
from raised.errors import BadData

PIN = (1000, CHAIN[1000].hash)


async def _down(links: HeaderLinks, explorer: HeaderExplorer, height: int) -> int:
    """Walk down to a height; with how many requests."""
    before = explorer.requests
    while not await links.descend(explorer, height):
        pass
    return explorer.requests - before


async def test_every_block_below_the_root_is_known_once_it_was_read() -> None:
    links, explorer = HeaderLinks(None), HeaderExplorer("one")
    links.set_root(LENGTH - 1, CHAIN[-1].hash)
    assert links.pages_to(2500) == await _down(links, explorer, 2500) == 50
    assert [links.hash_at(at) for at in range(2500, LENGTH)] == [
        header.hash for header in CHAIN[2500:]
    ]
    assert links.hash_at(2489) is None
    assert await _down(links, explorer, 2700) == 0
    await _down(links, explorer, 0)
    assert [links.hash_at(at) for at in range(LENGTH)] == [header.hash for header in CHAIN]
    assert links.hash_at(-1) is None


async def test_a_new_root_joins_what_was_read_below_the_former() -> None:
    links, explorer = HeaderLinks(None), HeaderExplorer("one")
    links.set_root(2000, CHAIN[2000].hash)
    await _down(links, explorer, 1500)
    links.set_root(2100, CHAIN[2100].hash)
    assert links.hash_at(1800) is None
    assert await _down(links, explorer, 1500) == 10
    assert links.hash_at(1800) == CHAIN[1800].hash


async def test_what_was_read_below_another_chain_is_not_joined() -> None:
    links, explorer = HeaderLinks(None), HeaderExplorer("one")
    links.set_root(2000, "aa" * 32)
    links.set_root(2100, CHAIN[2100].hash)
    assert await _down(links, explorer, 1990) == 11
    assert links.hash_at(2000) == CHAIN[2000].hash


async def test_below_the_pinned_block_the_walk_begins_there() -> None:
    links, explorer = HeaderLinks(PIN), HeaderExplorer("one")
    links.set_root(2000, CHAIN[2000].hash)
    assert links.above(900) == PIN
    assert links.above(1900) == (2000, CHAIN[2000].hash)
    assert await _down(links, explorer, 900) == 10
    assert links.hash_at(900) == CHAIN[900].hash
    assert links.hash_at(1900) is None


@pytest.mark.parametrize("at", [1500, 1495])
async def test_a_block_that_ours_does_not_name_is_refused(at: int) -> None:
    class LyingChain(HeaderExplorer):
        async def headers(self, at: int | None = None) -> tuple[tuple[int, Header], ...]:
            page = await super().headers(at)
            if any(height == 1490 for height, _ in page):
                raise BadData(self.name, "does not link", "unlinked")
            return page

    links, explorer = HeaderLinks(None), LyingChain("lying")
    links.set_root(at, CHAIN[at].hash if at == 1495 else "aa" * 32)
    with pytest.raises(BadData) as caught:
        await _down(links, explorer, 1400)
    assert caught.value.code == FOREIGN_BLOCK
