"""Real transactions, proofs and headers, as explorers gave them: all of it must prove itself."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest
from tests.rig import vectors

from raised.chain.explorer.api import SeenTx
from raised.chain.explorer.esplora import Esplora
from raised.chain.explorer.json_types import BlockObject, Transaction, decode, header_of, seen_tx
from raised.domain.angor.spend_proof import is_forged
from raised.domain.bitcoin.bech32 import script_from_address
from raised.domain.bitcoin.block import meets_target, parse_header
from raised.domain.bitcoin.sighash import Spending
from raised.domain.bitcoin.tx import parse_tx
from raised.errors import BadData, Unavailable

REAL: Final = vectors.CHAIN / "real"
URL: Final = "explorer"

Json = dict[str, Any]
Routes = dict[str, tuple[int, Any]]


Meet = Callable[..., AbstractAsyncContextManager[Esplora]]


def read(name: str) -> Any:
    return json.loads((REAL / name).read_text())


TRANSACTIONS: Final = sorted(
    path for path in REAL.glob("tx_*.json") if path.name != "tx_hex_angor_project.json"
)


def read_vector(path: Path) -> tuple[Json, SeenTx]:
    raw = path.read_bytes()
    return json.loads(raw), seen_tx(URL, decode(URL, raw, Transaction))


@pytest.mark.parametrize("path", TRANSACTIONS, ids=lambda path: path.stem)
def test_a_real_transaction_is_rebuilt_from_its_json(path: Path) -> None:
    json_tx, seen = read_vector(path)
    raw = seen.tx.serialize()
    assert (seen.tx.txid, len(raw), seen.tx.weight) == (
        json_tx["txid"],
        json_tx["size"],
        json_tx["weight"],
    )
    assert parse_tx(raw) == seen.tx
    paid = sum(output.value for output in seen.tx.outputs)
    given = sum(output.value for output in seen.spent if output is not None)
    if not json_tx["vin"][0]["is_coinbase"]:
        assert given - paid == json_tx["fee"]
    confirmed = json_tx["status"]["confirmed"]
    assert (seen.placement is not None) == confirmed
    if seen.placement is not None:
        assert seen.placement.block_hash == json_tx["status"]["block_hash"]


@pytest.mark.parametrize("path", TRANSACTIONS, ids=lambda path: path.stem)
def test_a_real_transaction_under_another_name_is_a_lie(path: Path) -> None:
    shape = decode(URL, path.read_bytes(), Transaction)
    with pytest.raises(BadData):
        seen_tx(URL, msgspec.structs.replace(shape, locktime=shape.locktime ^ 1))


@pytest.mark.parametrize(
    "name", ["tx_angor_founder_claim_scriptpath", "tx_angor_investor_recovery_scriptpath"]
)
def test_a_real_spend_of_a_stage_proves_itself(name: str) -> None:
    _, seen = read_vector(REAL / f"{name}.json")
    spent = tuple(output for output in seen.spent if output is not None)
    stages = [
        vin for vin, output in enumerate(spent) if output.script_pubkey.startswith(b"\x51\x20")
    ]
    assert stages
    assert not any(is_forged(Spending(seen.tx, spent), vin) for vin in stages)
    inputs = list(seen.tx.inputs)
    first = inputs[stages[0]]
    forged = bytes([first.witness[0][0] ^ 1]) + first.witness[0][1:]
    inputs[stages[0]] = first._replace(witness=(forged, *first.witness[1:]))
    assert is_forged(Spending(replace(seen.tx, inputs=tuple(inputs)), spent), stages[0])


async def test_the_history_of_a_real_stage_is_its_investment_and_its_spend(meet: Meet) -> None:
    listed = read("address_txs_angor_stages.json")
    known = {
        json_tx["txid"]: json_tx
        for json_tx in (json.loads(path.read_text()) for path in TRANSACTIONS)
    }
    routes: Routes = {
        f"/address/{address}/txs/chain": (200, [known[txid] for txid in txids])
        for address, txids in listed.items()
    }
    async with meet(routes, "tb") as explorer:
        for address, txids in listed.items():
            script = script_from_address("tb", address)
            page = await explorer.history_page(script, None)
            assert [seen.tx.txid for seen in page] == txids
            for seen in page:
                dirty = [output for output in (*seen.tx.outputs, *seen.spent) if output]
                assert script in [output.script_pubkey for output in dirty]


PROOFS: Final = cast(list[Json], read("merkle_proofs.json"))


def proof_routes(sample: Json) -> Routes:
    return {
        f"/tx/{sample['txid']}/merkle-proof": (200, sample["response"]),
        f"/block/{sample['block_hash']}/header": (200, sample["header"]),
    }


@pytest.mark.parametrize("sample", PROOFS, ids=lambda sample: sample["network"])
async def test_a_real_proof_folds_to_its_header(meet: Meet, sample: Json) -> None:
    async with meet(proof_routes(sample)) as explorer:
        proof = await explorer.proof(sample["txid"], sample["block_hash"])
    assert proof is not None
    assert proof.header.hash == sample["block_hash"]
    assert proof.header.merkle_root == sample["merkle_root"]
    assert (proof.position, list(proof.siblings)) == (
        sample["response"]["pos"],
        sample["response"]["merkle"],
    )


@pytest.mark.parametrize("sample", PROOFS, ids=lambda sample: sample["network"])
async def test_a_real_proof_at_another_position_is_a_lie(meet: Meet, sample: Json) -> None:
    moved = {**sample["response"], "pos": sample["response"]["pos"] ^ 1}
    async with meet(proof_routes({**sample, "response": moved})) as explorer:
        with pytest.raises(BadData):
            await explorer.proof(sample["txid"], sample["block_hash"])


async def test_a_real_proof_for_another_block_is_asked_for_again(meet: Meet) -> None:
    """A transaction that moved between two requests looks the same."""
    sample, other = PROOFS[0], "22" * 32
    routes = proof_routes({**sample, "block_hash": other})
    async with meet(routes) as explorer:
        with pytest.raises(Unavailable):
            await explorer.proof(sample["txid"], other)


@pytest.mark.parametrize("sample", read("headers.json"), ids=lambda sample: sample["hash"][-8:])
def test_a_real_header_is_rebuilt_from_the_fields_of_its_block(sample: Json) -> None:
    header = parse_header(bytes.fromhex(sample["header"]))
    assert header.hash == sample["hash"]
    assert header.bits == int(sample["bits"], 16)
    assert meets_target(header)
    genesis = header.prev_hash == "00" * 32
    shape = BlockObject(
        id=sample["hash"],
        height=sample["height"] or 0,
        version=header.version - (1 << 32 if header.version >> 31 else 0),  # some print it signed
        timestamp=header.time,
        merkle_root=header.merkle_root,
        nonce=header.nonce,
        bits=header.bits,
        previousblockhash=None if genesis else header.prev_hash,
    )
    assert header_of(URL, shape).serialize().hex() == sample["header"]


async def test_a_real_block_is_a_page_of_one_header(meet: Meet) -> None:
    block = read("block_363366.json")
    async with meet({"/blocks/363366": (200, [block]), "/blocks": (200, [block])}) as explorer:
        ((height, header),) = await explorer.headers(363366)
        assert (height, header.hash) == (363366, block["id"])
        assert await explorer.headers() == await explorer.headers(363366)


@pytest.mark.parametrize("field", ["nonce", "bits", "timestamp", "version"])
async def test_a_real_block_with_another_field_is_a_lie(meet: Meet, field: str) -> None:
    block = read("block_363366.json")
    block[field] += 1
    async with meet({"/blocks": (200, [block])}) as explorer:
        with pytest.raises(BadData):
            await explorer.headers()
