"""A regtest chain as two kinds of servers show it: whatever way it is read, it is the same."""

from typing import Any, Final

import pytest

from raised.chain.ancestry.disputes import Disputes
from raised.chain.ancestry.linker import AncestryLinker
from raised.chain.block_scan import WatchSet, read_and_scan
from raised.chain.explorer.api import Counts
from raised.chain.header_chain import HeaderChain
from raised.chain.history import read_history
from raised.domain.angor.identifier import project_script
from raised.domain.bitcoin.bech32 import encode
from raised.domain.bitcoin.block import Header, parse_header
from raised.domain.bitcoin.tx import Txid
from raised.domain.observation import HistorySeen, PlacedTx

SNAPSHOTS: Final = ["a_s1_tip107", "a_s2_other_tip107", "a_s3_reorged_tip108", "b_s1_tip107"]
FORK: Final = 106
BRANCHES: Final = {
    "a_s1_tip107": ("a_tip",),
    "b_s1_tip107": ("a_tip",),
    "a_s2_other_tip107": ("b_107",),
    "a_s3_reorged_tip108": ("b_107", "b_tip"),
}

every_snapshot = pytest.mark.parametrize("snapshot", SNAPSHOTS)


def best_chain(story: Any, snapshot: str) -> list[Any]:
    """The blocks of chain.json on the best chain of a snapshot, by height."""
    above = [story["branches"][name] for name in BRANCHES[snapshot]]
    return [block for block in story["blocks"] if block["height"] <= FORK or block["hash"] in above]


def headers_of(blocks: list[Any]) -> list[Header]:
    return [parse_header(bytes.fromhex(block["header"])) for block in blocks]


def project_of(story: Any) -> tuple[str, bytes]:
    script = bytes.fromhex(story["addresses"]["project"]["scriptpubkey"])
    project_id = encode("angor", 0, script[2:])
    assert project_script(project_id) == script
    return project_id, script


def scanned(story: Any, blocks: list[Any], project_id: str) -> dict[Txid, tuple[str, PlacedTx]]:
    """What concerns the project in the raw blocks, with the hash of its block."""
    watched = WatchSet(project_script)
    watched.add_project(project_id)
    rows: dict[Txid, tuple[str, PlacedTx]] = {}
    for block in blocks[1:]:
        raw = bytes.fromhex(block["raw"])
        scanned_block = read_and_scan(raw, block["hash"], watched, lambda _: None)
        watched.add_all(scanned_block.added)
        for placed in scanned_block.txs:
            rows[placed.tx.txid] = (block["hash"], placed)
    return rows


@every_snapshot
async def test_the_tip_is_the_end_of_its_best_chain(
    recorded: Any, story: Any, snapshot: str
) -> None:
    blocks = best_chain(story, snapshot)
    async with recorded(snapshot).meet() as explorer:
        assert await explorer.tip_hash() == blocks[-1]["hash"]
        for block in blocks[FORK:]:
            assert await explorer.block_hash(block["height"]) == block["hash"]
        assert await explorer.block_hash(blocks[-1]["height"] + 1) is None


@every_snapshot
async def test_pages_of_headers_go_down_to_the_genesis(
    recorded: Any, story: Any, snapshot: str
) -> None:
    rows: list[tuple[int, Header]] = []
    async with recorded(snapshot).meet() as explorer:
        page = await explorer.headers()
        while True:
            rows += page
            if rows[-1][0] == 0:
                break
            page = await explorer.headers(rows[-1][0] - 1)
    blocks = best_chain(story, snapshot)
    assert [(height, header.hash) for height, header in reversed(rows)] == [
        (block["height"], block["hash"]) for block in blocks
    ]
    assert [header for _, header in reversed(rows)] == headers_of(blocks)


@every_snapshot
async def test_a_raw_block_is_what_the_chain_holds(
    recorded: Any, story: Any, snapshot: str
) -> None:
    async with recorded(snapshot).meet() as explorer:
        for block in best_chain(story, snapshot)[101:]:
            raw = await explorer.raw_block(block["hash"])
            assert raw is not None
            assert raw.hex() == block["raw"]


async def test_a_block_that_left_the_chain_is_not_there(recorded: Any, story: Any) -> None:
    async with recorded("a_s3_reorged_tip108").meet() as explorer:
        assert await explorer.raw_block(story["branches"]["a_tip"]) is None


@every_snapshot
async def test_pages_of_a_history_hold_all_that_pays_the_project(
    recorded: Any, story: Any, snapshot: str
) -> None:
    _, script = project_of(story)
    async with recorded(snapshot).meet() as explorer:
        first = await explorer.history_page(script, None)
        second = await explorer.history_page(script, first[-1].tx.txid)
        last = await explorer.history_page(script, second[-1].tx.txid)
        counts = await explorer.counts(script)
        waiting = await explorer.unconfirmed(script)
    assert (len(first), last) == (25, ())
    seen = [seen_tx.tx.txid for seen_tx in (*first, *second)]
    assert len(set(seen)) == len(seen) == counts.confirmed
    assert len(waiting) == counts.unconfirmed
    names = {txid: name for name, txid in story["transactions"].items()}
    assert all(names[txid].startswith(("investment_", "founder_project")) for txid in seen)


async def test_a_place_that_was_lost_looks_like_the_end(recorded: Any, story: Any) -> None:
    """Which is why a history is compared with the address's own count."""
    _, script = project_of(story)
    async with recorded("a_s1_tip107").meet() as explorer:
        lost = await explorer.history_page(script, story["transactions"]["investment_28"])
        assert lost == ()
        assert await explorer.counts(script) != Counts(0, 0, 0)


@pytest.mark.parametrize(
    ("snapshot", "spender_of_00", "spender_of_01"),
    [
        ("a_s1_tip107", "founder_claim_inv0_inv1_stage0", "founder_claim_inv0_inv1_stage0"),
        ("b_s1_tip107", "founder_claim_inv0_inv1_stage0", "founder_claim_inv0_inv1_stage0"),
        (
            "a_s3_reorged_tip108",
            "end_of_project_inv0_stage0 (conflicts with the claim)",
            None,
        ),
    ],
)
async def test_spenders_are_those_of_the_best_chain(
    recorded: Any, story: Any, snapshot: str, spender_of_00: str, spender_of_01: str | None
) -> None:
    names, tip = story["transactions"], best_chain(story, snapshot)[-1]
    async with recorded(snapshot).meet() as explorer:
        of_00 = await explorer.spenders(names["investment_00"])
        of_01 = await explorer.spenders(names["investment_01"])
    assert of_00 is not None
    assert of_00[2] is not None
    assert of_00[2].placement is not None
    assert (of_00[2].txid, of_00[2].placement.block_hash) == (names[spender_of_00], tip["hash"])
    assert of_00[3] is None
    assert of_01 is not None
    expected = None if spender_of_01 is None else names[spender_of_01]
    assert (of_01[2] and of_01[2].txid) == expected
    assert of_01[3] is None


async def test_on_the_other_branch_the_claim_only_waits(recorded: Any, story: Any) -> None:
    names = story["transactions"]
    claim = names["founder_claim_inv0_inv1_stage0"]
    async with recorded("a_s2_other_tip107").meet() as explorer:
        for name in ("investment_00", "investment_01"):
            spenders = await explorer.spenders(names[name])
            assert spenders is not None
            assert spenders[2] is not None
            assert (spenders[2].txid, spenders[2].placement) == (claim, None)
        assert claim in await explorer.mempool_txids()
        assert await explorer.mempool_size() == 4


async def test_a_claim_that_is_gone_still_answers(recorded: Any, story: Any) -> None:
    """An answer for it proves nothing: it is in no list, and spends nothing."""
    claim = story["transactions"]["founder_claim_inv0_inv1_stage0"]
    async with recorded("a_s3_reorged_tip108").meet() as explorer:
        seen = await explorer.tx(claim)
        assert seen is not None
        assert (seen.tx.txid, seen.placement) == (claim, None)
        assert claim not in await explorer.mempool_txids()
        assert await explorer.proof(claim, story["branches"]["a_tip"]) is None


@every_snapshot
async def test_both_kinds_of_proof_agree_with_the_block(
    recorded: Any, story: Any, snapshot: str
) -> None:
    """One where the server has merkleblock-proof, both halves where it has not."""
    blocks = best_chain(story, snapshot)
    project_id, _ = project_of(story)
    explorer = recorded(snapshot)
    proved = 0
    for txid, (block_hash, placed) in scanned(story, blocks, project_id).items():
        async with explorer.meet() as adapter:
            proof = await adapter.proof(txid, block_hash)
        assert proof is not None
        assert proof.header.hash == block_hash
        assert (proof.position, proof.siblings) == (placed.position, placed.siblings)
        proved += f"/tx/{txid}/merkleblock-proof" not in explorer.unknown_paths
    assert proved > 0


@every_snapshot
async def test_a_history_by_addresses_is_what_the_blocks_hold(
    recorded: Any, story: Any, snapshot: str
) -> None:
    blocks = best_chain(story, snapshot)
    project_id, _ = project_of(story)
    async with recorded(snapshot).meet() as explorer:
        linker = AncestryLinker((), "regtest", Disputes())
        linker.set_chain(HeaderChain(0, headers_of(blocks)))
        history = await read_history(explorer, project_id, 1, linker)
    assert isinstance(history, HistorySeen)
    in_blocks = scanned(story, blocks, project_id)
    assert {placed.tx.txid: ref.hash for ref, placed in history.txs} == {
        txid: block_hash for txid, (block_hash, _) in in_blocks.items()
    }
    for ref, placed in history.txs:
        _, in_block = in_blocks[placed.tx.txid]
        assert placed.tx == in_block.tx  # witnesses too
        assert (placed.position, placed.siblings) == (in_block.position, in_block.siblings)
        assert ref.header == headers_of(blocks)[ref.height].serialize()
    order = [(ref.height, placed.position) for ref, placed in history.txs]
    assert order == sorted(order)


def test_scanning_finds_the_whole_story(story: Any) -> None:
    project_id, _ = project_of(story)
    names = {txid: name for name, txid in story["transactions"].items()}
    rows = scanned(story, best_chain(story, "a_s1_tip107"), project_id)
    investments = {f"investment_{number:02}" for number in range(28)}
    assert {names[txid] for txid in rows} == investments | {
        "founder_project",
        "recover_inv3",
        "founder_claim_inv0_inv1_stage0",
    }
    rows = scanned(story, best_chain(story, "a_s3_reorged_tip108"), project_id)
    assert {names[txid] for txid in rows} == investments | {
        "founder_project",
        "recover_inv3",
        "investment_28",
        "investment_29",
        "penalty_release_inv3",
        "end_of_project_inv0_stage0 (conflicts with the claim)",
    }


@every_snapshot
def test_median_times_are_those_the_server_says(recorded: Any, story: Any, snapshot: str) -> None:
    chain = HeaderChain(0, headers_of(best_chain(story, snapshot)))
    block_objects = recorded(snapshot).block_objects()
    for block_hash, block in block_objects.items():
        height = chain.height_of(block_hash)
        if height is not None and height >= 11:
            assert chain.ref(height).median_time == block["mediantime"]
