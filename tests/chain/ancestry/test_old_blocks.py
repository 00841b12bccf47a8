"""What one explorer invents of old blocks: it counts only in a block of ours, with its work."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.rig.followed_chain import (
    FundedProject,
    ProjectTotals,
    fast_settings,
    following,
    funded_project,
)
from tests.rig.lying_explorer import (
    LyingExplorer,
    at_another_height,
    with_forgeable_txid,
    with_forged_leaf,
    with_work,
    without_work,
)
from tests.rig.rewritten_history import OLD_BLOCKS, short_chain_settings
from tests.rig.single_project import SingleProject

from raised.chain.ancestry.disputes import Disputes
from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.ancestry.outcomes import Proven
from raised.chain.explorer.esplora import Esplora
from raised.chain.header_chain import HeaderChain
from raised.domain.bitcoin.block import Header, meets_target
from raised.domain.bitcoin.tx import Tx
from raised.domain.observation import HistorySeen
from raised.errors import BadData
from raised_simnet.bitcoin.block_archive import StoredBlock
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.bitcoin.chain_view import ChainView

Meet = Callable[..., AbstractAsyncContextManager[Esplora]]
ONE = ProjectTotals(99_000, 0, 1)
OLD = 125  # a height far below what is followed, above the investment
ANOTHER = SingleProject("another")


def _founding(funded: FundedProject) -> Tx:
    return with_forgeable_txid(ANOTHER.found(funded.wallet))


def _investment(funded: FundedProject) -> Tx:
    return with_forgeable_txid(funded.invest().tx)


def _claim(funded: FundedProject) -> Tx:
    return funded.project.claim(funded.investments[0])


FACTS: dict[str, tuple[Callable[[FundedProject], Tx], SingleProject, ProjectTotals]] = {
    "founding": (_founding, ANOTHER, ProjectTotals(0, 0, 0)),
    "investment": (_investment, SingleProject(), ONE),
    "claim": (_claim, SingleProject(), ONE),
}
BLOCKS: dict[str, tuple[Callable[[RegtestChain, int, Tx], StoredBlock], str]] = {
    "no work": (without_work, "easy"),
    "work": (with_work, "foreign_block"),
    "a forged leaf": (with_forged_leaf, "forged_proof"),
}
# The id of a claim cannot be chosen without its signature, so it stands in no forged leaf.
LIES = [
    (fact, block)
    for fact in FACTS
    for block in BLOCKS
    if (fact, block) != ("claim", "a forged leaf")
]


def _lie(funded: FundedProject, fact: str, block: str) -> LyingExplorer:
    tx = FACTS[fact][0](funded)
    invented = BLOCKS[block][0](funded.world.chain, OLD, tx)
    return LyingExplorer(funded.world.chain, invented, tx.txid)


@pytest.mark.parametrize(("fact", "block"), LIES)
async def test_a_single_explorer_cannot_invent_the_past(
    writer: AsyncEngine, fact: str, block: str
) -> None:
    _, project, right = FACTS[fact]
    async with funded_project() as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        explorer = funded.world.explorer
        explorer.view = _lie(funded, fact, block)
        async with following(short_chain_settings(funded), writer, project) as observed:
            await observed.wait_for_error(explorer, BLOCKS[block][1])
            assert not observed.of_kind(HistorySeen)
            explorer.view = ChainView(funded.world.chain)
            await observed.wait_until_caught_up(funded.world)
            assert await observed.totals(project) == right
            assert await observed.is_consistent(funded.world)


@pytest.mark.parametrize("block", ["no work", "a forged leaf"])
async def test_a_single_explorer_must_show_work_and_depth_however_old_the_block(
    writer: AsyncEngine, block: str
) -> None:
    async with funded_project() as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        explorer = funded.world.explorer
        explorer.view = _lie(funded, "investment", block)
        settings = short_chain_settings(funded, links_affordable=False)
        async with following(settings, writer, funded.project) as observed:
            await observed.wait_for_error(explorer, BLOCKS[block][1])
            assert not observed.of_kind(HistorySeen)


async def test_a_transaction_said_to_be_older_than_it_is_counts_nowhere(
    writer: AsyncEngine,
) -> None:
    async with funded_project() as funded:
        funded.world.chain.mine_many(OLD_BLOCKS)
        explorer, txid = funded.world.explorer, funded.investments[0].tx.txid
        moved = at_another_height(funded.world.chain, txid, OLD - 20)
        explorer.view = LyingExplorer(funded.world.chain, moved, txid)
        async with following(short_chain_settings(funded), writer, funded.project) as observed:
            await observed.wait_for_error(explorer, "foreign_block")
            assert not observed.of_kind(HistorySeen)


async def test_a_lie_about_a_block_that_is_followed_counts_nowhere(writer: AsyncEngine) -> None:
    async with funded_project() as funded:
        explorer, investment = funded.world.explorer, funded.invest()
        invented = with_work(funded.world.chain, funded.world.chain.height, investment.tx)
        explorer.view = LyingExplorer(funded.world.chain, invented, investment.tx.txid)
        async with following(fast_settings(funded.world), writer, funded.project) as observed:
            await observed.wait_for_error(explorer, "wrong_proof")
            assert not observed.of_kind(HistorySeen)


@pytest.mark.parametrize(("network", "counts"), [("regtest", True), ("main", False)])
async def test_a_block_counts_when_it_is_no_easier_than_its_network_allows(
    meet: Meet, network: str, counts: bool
) -> None:
    headers = (Header(1, "00" * 32, "11" * 32, 0, 0x207FFFFF, nonce) for nonce in range(100))
    header = next(header for header in headers if meets_target(header))
    linker = AncestryLinker((), network, Disputes())
    linker.set_chain(HeaderChain(0, [header]))
    async with meet({}) as explorer:
        if counts:
            assert await linker.verify(explorer, [(0, header)]) == Proven()
            return
        with pytest.raises(BadData) as caught:
            await linker.verify(explorer, [(0, header)])
        assert caught.value.code == "easy"
