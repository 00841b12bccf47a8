"""The evidence document: a stranger checks it with nothing but hashes and the curve."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.investment_state import Place, StoredTx
from raised.domain.angor.network import network_named
from raised.domain.audit.evidence import Evidence, ProvenTx, build_evidence, proof_problem
from raised.domain.bitcoin.block import (
    Header,
    meets_target,
    merkle_branch,
    merkle_levels,
    merkle_root,
)
from raised.domain.bitcoin.curve import xonly_add
from raised.domain.bitcoin.hashes import tagged
from raised.domain.bitcoin.tx import hex_from_raw, parse_tx, raw_from_hex
from raised.domain.event import Event, event_from_json

VECTORS = vectors.ANGOR
NAMES = ["invest", "seeders", "fund", "subscribe"]
EASY_BITS = 0x207FFFFF  # regtest's: every second header meets it


def story_of(name: str) -> dict[str, Any]:
    story: dict[str, Any] = json.loads((VECTORS / f"scenario_{name}.json").read_text())
    return story


def mined(root: str, time: int) -> Header:
    for nonce in range(1_000):
        header = Header(2, "00" * 32, root, time, EASY_BITS, nonce)
        if meets_target(header):
            return header
    raise AssertionError("half of all headers meet the target")


def proven(entry: dict[str, Any]) -> ProvenTx:
    """The transaction in a block of its own, behind others that do not matter."""
    tx = parse_tx(bytes.fromhex(entry["hex"]))
    if entry["height"] is None:
        return ProvenTx(StoredTx(tx, None, entry["time"], gone=False), None, None, raw_block=False)
    position = entry["indexInBlock"]
    leaves = [bytes([number]) * 32 for number in range(position + 2)]
    leaves[position] = raw_from_hex(tx.txid)
    header = mined(hex_from_raw(merkle_root(leaves)), entry["time"])
    place = Place(entry["height"], header.hash, position, entry["time"])
    siblings = tuple(
        hex_from_raw(sibling) for sibling in merkle_branch(merkle_levels(leaves), position)
    )
    stored = StoredTx(tx, place, entry["time"], gone=False)
    return ProvenTx(stored, header.serialize(), siblings, raw_block=position == 1)


def event_of(story: dict[str, Any]) -> Event:
    return event_from_json(story["projectEvent"])


def evidence_of(name: str) -> Evidence:
    story = story_of(name)
    txs = [proven(entry) for entry in story["transactions"]]
    return build_evidence(network_named("angornet"), event_of(story), txs)


def document_of(name: str) -> dict[str, Any]:
    document: dict[str, Any] = evidence_of(name).document
    return document


@pytest.mark.parametrize("name", NAMES)
def test_the_document_is_json_and_holds(name: str) -> None:
    found = evidence_of(name)
    document = json.loads(json.dumps(found.document))
    assert document == found.document
    assert document["holds"] is True
    assert document["problems"] == []
    assert found.exit_code == 0
    assert document["event"] == story_of(name)["projectEvent"]
    assert document["network"] == "angornet"


@pytest.mark.parametrize("name", NAMES)
def test_every_placed_transaction_leads_to_its_header(name: str) -> None:
    for transaction in document_of(name)["transactions"]:
        tx = parse_tx(bytes.fromhex(transaction["hex"]))
        assert tx.txid == transaction["txid"]
        if transaction["height"] is None:
            assert (transaction["header"], transaction["merkle"], transaction["wtxid"]) == (
                None,
                None,
                None,
            )
            continue
        node, position = raw_from_hex(transaction["txid"]), transaction["position"]
        for sibling in transaction["merkle"]:
            pair = (raw_from_hex(sibling), node) if position & 1 else (node, raw_from_hex(sibling))
            node = double(b"".join(pair))
            position >>= 1
        header = bytes.fromhex(transaction["header"])
        assert header[36:68] == node
        assert hex_from_raw(double(header)) == transaction["block_hash"]
        assert transaction["wtxid"] == (tx.wtxid if transaction["position"] == 1 else None)


def double(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


@pytest.mark.parametrize("name", NAMES)
def test_leaves_root_and_key_of_every_stage_end_in_the_script_on_the_chain(name: str) -> None:
    document = document_of(name)
    hexes = {transaction["txid"]: transaction["hex"] for transaction in document["transactions"]}
    for investment in document["investments"]:
        outputs = parse_tx(bytes.fromhex(hexes[investment["txid"]])).outputs
        for stage in investment["stages"]:
            internal, root = (
                bytes.fromhex(stage["internal_key"]),
                bytes.fromhex(stage["merkle_root"]),
            )
            key = xonly_add(internal, tagged("TapTweak", internal + root))[0]
            assert stage["output_key"] == key.hex()
            assert stage["script_pubkey"] == "5120" + key.hex()
            assert outputs[stage["vout"]].script_pubkey.hex() == stage["script_pubkey"]


@pytest.mark.parametrize("name", NAMES)
def test_the_leaf_of_every_spend_is_one_of_the_stage_and_committed_to(name: str) -> None:
    for investment in document_of(name)["investments"]:
        for stage in investment["stages"]:
            assert (stage["spend"] is None) is (stage["state"] == "locked")
            if stage["spend"] is None:
                continue
            leaf = bytes.fromhex(stage["spend"]["leaf"])
            known = {*stage["leaves"].values(), *investment["seeder_leaves"]}
            assert leaf.hex() in known
            control = bytes.fromhex(stage["spend"]["control_block"])
            node = tagged("TapLeaf", b"\xc0" + bytes([len(leaf)]) + leaf)
            for at in range(33, len(control), 32):
                node = tagged("TapBranch", b"".join(sorted((node, control[at : at + 32]))))
            assert node.hex() == stage["merkle_root"]
            assert (stage["spend"]["penalty"] is None) is (stage["state"] != "recovery")


def test_a_released_penalty_names_its_release() -> None:
    document = document_of("invest")
    released = {
        stage["spend"]["penalty_released_txid"]
        for investment in document["investments"]
        for stage in investment["stages"]
        if stage["spend"] is not None
    }
    release = next(
        transaction["txid"]
        for transaction in document["transactions"]
        if transaction["role"] == "penalty_release"
    )
    assert released == {None, release}


def test_without_an_event_there_is_nothing_to_recompute() -> None:
    txs = [proven(entry) for entry in story_of("fund")["transactions"]]
    found = build_evidence(network_named("angornet"), None, txs)
    document: dict[str, Any] = found.document
    assert document["event"] is None
    assert all(investment["stages"] == [] for investment in document["investments"])
    assert found.exit_code == 2


def test_a_proof_that_is_missing_or_wrong_is_named() -> None:
    good = proven(story_of("fund")["transactions"][0])
    assert proof_problem(good) is None
    assert good.siblings is not None
    assert good.header is not None
    other = mined("11" * 32, 1)
    place = good.stored.place
    assert place is not None
    weak = bytearray(good.header)
    weak[72:76] = (0x03000001).to_bytes(4, "little")
    elsewhere = replace(good.stored, place=replace(place, block_hash=other.hash))
    strange = replace(
        good.stored, place=replace(place, block_hash=hex_from_raw(double(bytes(weak))))
    )
    for bad, words in (
        (replace(good, header=None), "missing"),
        (replace(good, siblings=None), "missing"),
        (replace(good, header=good.header[:-1]), "no proof"),
        (replace(good, siblings=("zz",)), "no proof"),
        (replace(good, siblings=good.siblings * 2), "elsewhere"),
        (replace(good, siblings=("11" * 32,) * len(good.siblings)), "elsewhere"),
        (replace(good, header=other.serialize()), "another block"),
        (replace(good, header=other.serialize(), stored=elsewhere), "elsewhere"),
        (replace(good, header=bytes(weak), stored=strange), "proof of work"),
    ):
        problem = proof_problem(bad)
        assert problem is not None
        assert words in problem


def test_a_missing_proof_fails_the_evidence_only_of_what_counts() -> None:
    story = story_of("invest")
    txs = [proven(entry) for entry in story["transactions"]]

    def without_proof(label: str) -> Evidence:
        number = next(i for i, one in enumerate(story["transactions"]) if one["label"] == label)
        changed = [*txs]
        changed[number] = replace(txs[number], header=None)
        return build_evidence(network_named("angornet"), event_of(story), changed)

    assert without_proof("lookalike_random_taproot").exit_code == 0
    assert without_proof("founding_again").exit_code == 0
    for label in ("founding", "invest_A", "claim_stage1", "penalty_release_A"):
        found = without_proof(label)
        assert found.exit_code == 2
        assert "missing" in found.problems[0]
