"""Our explorer against the recorded answers of the same chain (tests/vectors/chain/regtest)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.rig import vectors

pytest.importorskip("pbk")

from raised.domain.bitcoin.tx import parse_tx
from raised_simnet.bitcoin.chain import RegtestChain
from raised_simnet.explorer.server import Explorer, Flavour

REGTEST = vectors.CHAIN / "regtest"
ARRIVAL = {
    "a_s1_tip107": ("penalty_release_inv3", "investment_28", "investment_29", "investment_30"),
    "a_s2_other_tip107": (
        "penalty_release_inv3",
        "investment_29",
        "investment_30",
        "founder_claim_inv0_inv1_stage0",
    ),
}


def read(name: str) -> dict[str, Any]:
    return json.loads((REGTEST / f"{name}.json").read_text())  # type: ignore[no-any-return]


def table(name: str) -> dict[str, Any]:
    """A route table with what it is laid over."""
    top = read(name)
    if top["overlay_of"] is None:
        return top
    below = table(top["overlay_of"].removesuffix(".json"))
    for part in ("blocks", "txs", "routes"):
        top[part] = {**below[part], **top[part]}
    for route in top["removed_routes"]:
        top["routes"].pop(route, None)
    return top


def replay(directory: Path, snapshot: str) -> RegtestChain:
    """The chain of a snapshot: its blocks through the engine, its mempool in arrival order."""
    story, recorded = read("chain"), table(snapshot)
    blocks = {block["hash"]: block for block in story["blocks"]}
    names = story["transactions"]
    first = "b_107" if snapshot == "a_s2_other_tip107" else "a_tip"
    chain = RegtestChain(directory, story["blocks"][1]["time"])
    for block in story["blocks"][1:107]:
        chain.submit(bytes.fromhex(block["raw"]))
    chain.submit(bytes.fromhex(blocks[story["branches"][first]]["raw"]))
    for name in ARRIVAL.get(snapshot, ARRIVAL["a_s1_tip107"]):
        raw = recorded["routes"][f"/tx/{names[name]}/hex"]["text"]
        chain.accept(parse_tx(bytes.fromhex(raw)))
    if snapshot.endswith("s3_reorged_tip108"):
        for branch in ("b_107", "b_tip"):
            chain.submit(bytes.fromhex(blocks[story["branches"][branch]]["raw"]))
    assert chain.tip_hash == recorded["tip_hash"]
    return chain


def body(recorded: dict[str, Any], route: dict[str, Any], raws: dict[str, bytes]) -> Any:
    """The recorded body of a route."""
    if "text" in route:
        return route["text"]
    if "raw_block" in route:
        return raws[route["raw_block"]]
    for one, many in (("tx", "txs"), ("block", "blocks")):
        if one in route:
            return recorded[many][route[one]]
        if many in route:
            return [recorded[many][key] for key in route[many]]
    return route["json"]


SNAPSHOTS = {
    "a_s1_tip107": Flavour.ESPLORA,
    "a_s2_other_tip107": Flavour.ESPLORA,
    "a_s3_reorged_tip108": Flavour.ESPLORA,
    "b_s1_tip107": Flavour.MEMPOOL,
    "c_s1_tip107": Flavour.ELECTRUM,
    "c_s3_reorged_tip108": Flavour.ELECTRUM,
}


@pytest.fixture(params=SNAPSHOTS)
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Explorer]]:
    chain = replay(tmp_path, request.param)
    explorer = Explorer(chain, SNAPSHOTS[request.param])
    explorer.start()
    yield request.param, explorer
    explorer.stop()
    chain.close()


def answer(response: httpx.Response, wanted: Any) -> Any:
    if isinstance(wanted, bytes):
        return response.content
    return response.text if isinstance(wanted, str) else response.json()


def comparable(path: str, value: Any) -> Any:
    """Without what has no meaning: the order of utxo lists, last digits, our clock."""
    if path.endswith("/utxo"):
        return sorted(value, key=lambda utxo: (utxo["txid"], utxo["vout"]))
    if isinstance(value, list):
        return [comparable("", item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {key: item for key, item in value.items() if key != "firstSeen"}
    return {
        key: float(f"{item:.12g}") if isinstance(item, float) else item
        for key, item in known.items()
    }


def test_every_recorded_answer_is_ours_too(snapshot: tuple[str, Explorer]) -> None:
    name, explorer = snapshot
    recorded = table(name)
    raws = {b["hash"]: bytes.fromhex(b["raw"]) for b in read("chain")["blocks"] if b["raw"]}
    compared = 0
    with httpx.Client(verify=False) as client:
        for path, route in recorded["routes"].items():
            response = client.get(explorer.url + path)
            assert response.status_code == route["status"], path
            assert response.headers["content-type"] == route["type"], path
            wanted = body(recorded, route, raws)
            ours = answer(response, wanted)
            assert comparable(path, ours) == comparable(path, wanted), path
            compared += 1
    assert compared > 400
