"""What spends of stage outputs meant: the scenarios and the real Angornet project."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.investment import Investment, recognise
from raised.domain.angor.penalty import penalty_script
from raised.domain.angor.spend import Spend, SpendKind, classify
from raised.domain.angor.stage_output import (
    UNSPENDABLE_KEY,
    Leaves,
    StageOutput,
    end_leaf,
    founder_leaf,
    leaf_key,
    recover_leaf,
    stage_script,
)
from raised.domain.angor.terms import parse_terms
from raised.domain.bitcoin.hashes import sha256
from raised.domain.bitcoin.sighash import verify_script_spend
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, parse_tx
from raised.errors import InvalidInput

VECTORS = vectors.ROOT
REAL: dict[str, Any] = json.loads((VECTORS / "angor" / "real_transactions.json").read_text())
WORDS = {
    "founder_claim": SpendKind.CLAIM,
    "penalty_recovery": SpendKind.RECOVERY,
    "unfunded_release": SpendKind.UNFUNDED_RELEASE,
    "seeder_secrets": SpendKind.PENALTY_FREE_RECOVERY,
    "end_of_project": SpendKind.END_OF_PROJECT,
}
Coins = dict[OutPoint, tuple[Investment, StageOutput]]


def story_of(name: str) -> dict[str, Any]:
    story: dict[str, Any] = json.loads((VECTORS / "angor" / f"scenario_{name}.json").read_text())
    return story


def coins_of(story: dict[str, Any]) -> Coins:
    event = story["projectEvent"]
    terms = parse_terms(event["content"], event["created_at"])
    found = [
        recognise(terms, parse_tx(bytes.fromhex(transaction["hex"])))
        for transaction in story["transactions"]
    ]
    return {
        OutPoint(match.txid, stage.vout): (match, stage)
        for match in found
        if isinstance(match, Investment)
        for stage in match.stages
    }


@pytest.mark.parametrize("name", ["invest", "seeders", "fund", "subscribe"])
def test_every_input_of_a_scenario_is_named(name: str) -> None:
    story = story_of(name)
    coins = coins_of(story)
    for entry in story["transactions"]:
        tx = parse_tx(bytes.fromhex(entry["hex"]))
        for vin, word in enumerate(entry["expected"]["inputs"]):
            coin = coins.get(tx.inputs[vin].outpoint)
            if coin is None:
                assert word in ("other", "penalty_release")
                continue
            assert classify(*coin, tx, vin).kind is WORDS[word]


@pytest.mark.parametrize("name", ["invest", "seeders", "fund", "subscribe"])
def test_every_stage_of_a_scenario_ends_as_expected(name: str) -> None:
    story = story_of(name)
    coins = coins_of(story)
    txs = {
        transaction["txid"]: parse_tx(bytes.fromhex(transaction["hex"]))
        for transaction in story["transactions"]
    }
    for expected in story["expected"]["investments"]:
        for stage in expected["stages"]:
            if stage.get("spent") is None:
                spent = OutPoint(expected["txid"], stage["vout"])
                assert not any(
                    input_.outpoint == spent for tx in txs.values() for input_ in tx.inputs
                )
                continue
            tx, vin = txs[stage["spent"]["txid"]], stage["spent"]["vin"]
            coin = coins[OutPoint(expected["txid"], stage["vout"])]
            assert classify(*coin, tx, vin).kind is WORDS[stage["spent"]["kind"]]


@pytest.mark.parametrize("name", ["invest", "seeders", "fund", "subscribe"])
def test_signatures_of_named_spends_hold_and_forged_leaves_do_not(name: str) -> None:
    story = story_of(name)
    coins = coins_of(story)
    for entry in story["transactions"]:
        tx = parse_tx(bytes.fromhex(entry["hex"]))
        spent = [
            TxOut(prevout["value"], bytes.fromhex(prevout["scriptPubKey"]))
            for prevout in entry["prevouts"]
        ]
        for vin, txin in enumerate(tx.inputs):
            if txin.outpoint not in coins:
                continue
            investment, stage = coins[txin.outpoint]
            assert verify_script_spend(tx, vin, spent)
            shown = classify(investment, stage, tx, vin)
            assert shown.script == txin.witness[-2]
            assert shown.control_block == txin.witness[-1]
            others = [leaf for leaf in stage.leaves.in_order() if leaf != shown.script]
            for other in others:
                forged = (*txin.witness[:-2], other, txin.witness[-1])
                with pytest.raises(InvalidInput):
                    classify(investment, stage, spending(tx, vin, forged), vin)


def spending(tx: Tx, vin: int, witness: tuple[bytes, ...]) -> Tx:
    inputs = list(tx.inputs)
    inputs[vin] = inputs[vin]._replace(witness=witness)
    return replace(tx, inputs=tuple(inputs))


def real_coins() -> Coins:
    """The stage outputs of the real project, rebuilt from leaf keys: nothing else is public."""
    project = REAL["angornet"]
    known = project["knownParameters"]
    founder = bytes.fromhex(known["founderLeafKey"])
    recovery = bytes.fromhex(known["founderRecoveryLeafKey"])
    coins: Coins = {}
    for stage_output in project["stageOutputs"]:
        key = bytes.fromhex(stage_output["investorKey"])
        investor = leaf_key(key)
        release_at = known["stageDates"][stage_output["stageIndex"]]
        leaves = Leaves(
            founder_leaf(founder, release_at),
            recover_leaf(recovery, investor, None),
            end_leaf(investor, known["expiryDate"]),
        )
        stage = StageOutput(
            stage_output["stageIndex"],
            stage_output["vout"],
            stage_output["value"],
            release_at,
            known["expiryDate"],
            stage_script(leaves),
            leaves,
            UNSPENDABLE_KEY,
        )
        investment = Investment(
            stage_output["investmentTxid"],
            project["angorId"],
            key,
            None,
            1_000_000,
            (stage,),
            (),
            known["penaltyDays"],
        )
        coins[OutPoint(stage_output["investmentTxid"], stage_output["vout"])] = (investment, stage)
    return coins


def test_the_real_project_is_named_exactly() -> None:
    coins, exact = real_coins(), REAL["angornet"]["exact"]
    seen: list[dict[str, Any]] = []
    for entry in REAL["angornet"]["transactions"]:
        tx = parse_tx(bytes.fromhex(entry["hex"]))
        for txout, coin in (
            (tx.outputs[coin.vout], coin) for coin in coins if coin.txid == tx.txid
        ):
            assert txout.script_pubkey == coins[coin][1].script_pubkey
            assert txout.value == coins[coin][1].value_sats
        for vin, txin in enumerate(tx.inputs):
            if txin.outpoint not in coins:
                continue
            investment, stage = coins[txin.outpoint]
            spend = classify(investment, stage, tx, vin)
            word = next(word for word, kind in WORDS.items() if kind is spend.kind)
            seen.append(
                {
                    "outpoint": str(txin.outpoint),
                    "stageIndex": stage.index,
                    "kind": word,
                    "amount": stage.value_sats,
                    "txid": tx.txid,
                }
                | ({} if spend.penalty_vout is None else {"pairedOutput": spend.penalty_vout})
            )
    assert seen == exact["spends"]
    claimed = sum(one["amount"] for one in seen if one["kind"] == "founder_claim")
    in_penalty = sum(one["amount"] for one in seen if one["kind"] == "penalty_recovery")
    assert (claimed, in_penalty) == (exact["claimedByFounder"], exact["inPenalty"])
    total = sum(stage.value_sats for _, stage in coins.values())
    assert total == exact["netInStages"]
    assert total - claimed - in_penalty == exact["stillLocked"]


def test_the_explorer_shows_the_same_stage_outputs() -> None:
    coins = real_coins()
    for number in (1, 2):
        path = VECTORS / "chain" / "real" / f"tx_angor_investment_{number}.json"
        shown = json.loads(path.read_text())
        for vout in (2, 3, 4):
            stage = coins[OutPoint(shown["txid"], vout)][1]
            assert shown["vout"][vout]["scriptpubkey"] == stage.script_pubkey.hex()
            assert shown["vout"][vout]["value"] == stage.value_sats


def test_the_explorer_shows_the_same_spends() -> None:
    coins = real_coins()
    kinds = []
    for name in ("founder_claim_scriptpath", "investor_recovery_scriptpath"):
        path = VECTORS / "chain" / "real" / f"tx_angor_{name}.json"
        shown = json.loads(path.read_text())
        inputs = tuple(
            TxIn(
                OutPoint(tx_input["txid"], tx_input["vout"]),
                b"",
                tx_input["sequence"],
                tuple(bytes.fromhex(item) for item in tx_input["witness"]),
            )
            for tx_input in shown["vin"]
        )
        outputs = (
            TxOut(output["value"], bytes.fromhex(output["scriptpubkey"]))
            for output in shown["vout"]
        )
        tx = Tx(shown["version"], inputs, tuple(outputs), shown["locktime"])
        spends = [
            classify(*coins[txin.outpoint], tx, vin)
            for vin, txin in enumerate(inputs)
            if txin.outpoint in coins
        ]
        kinds.append([spend.kind.value for spend in spends])
    assert kinds == [["claim"], ["recovery", "recovery"]]


KEY = bytes.fromhex("03c33141e9af74927eb6aa5409069a23ddd465fed0323c37220acb48bf98b4e8c3")


def recovery_with(outputs: tuple[TxOut, ...], *, penalty_days: int = 0, vin: int = 0) -> Spend:
    """The real recovery, paying somewhere else."""
    entry = REAL["angornet"]["transactions"][3]
    tx = replace(parse_tx(bytes.fromhex(entry["hex"])), outputs=outputs)
    investment, stage = real_coins()[tx.inputs[vin].outpoint]
    return classify(replace(investment, penalty_days=penalty_days), stage, tx, vin)


def test_a_recovery_goes_into_the_penalty_beside_its_input() -> None:
    penalty, other = TxOut(1, penalty_script(KEY, 0)), TxOut(1, b"\x00\x14" + bytes(20))
    assert recovery_with((penalty, other)).kind is SpendKind.RECOVERY
    assert recovery_with((penalty, other)).penalty_vout == 0
    assert recovery_with((other, penalty), vin=1).penalty_vout == 1
    for outputs in ((other, penalty), ()):
        spend = recovery_with(outputs)
        assert spend.kind is SpendKind.UNFUNDED_RELEASE
        assert spend.penalty_vout is None
    assert recovery_with((penalty,), vin=1).kind is SpendKind.UNFUNDED_RELEASE


def test_a_penalty_of_other_days_is_no_penalty_of_ours() -> None:
    penalty = TxOut(1, penalty_script(KEY, 10))
    assert recovery_with((penalty,), penalty_days=10).kind is SpendKind.RECOVERY
    for days in (9, 11, 389, -1):
        assert recovery_with((penalty,), penalty_days=days).kind is SpendKind.UNFUNDED_RELEASE


def test_a_key_path_spend_is_unknown() -> None:
    (investment, stage), *_ = real_coins().values()
    outpoint = OutPoint(investment.txid, stage.vout)
    for witness in ((bytes(64),), (bytes(65),), (bytes(64), b"\x50annex")):
        tx = Tx(2, (TxIn(outpoint, b"", 0, witness),), (), 0)
        assert classify(investment, stage, tx, 0) == Spend(SpendKind.UNKNOWN)


@given(st.lists(st.binary(max_size=120), max_size=6), st.integers(0, 2))
def test_any_witness_is_named_or_refused(witness: list[bytes], outputs: int) -> None:
    (investment, stage), *_ = real_coins().values()
    txin = TxIn(OutPoint(investment.txid, 2), b"", 0, tuple(witness))
    tx = Tx(2, (txin,), (TxOut(1, b""),) * outputs, 0)
    try:
        spend = classify(investment, stage, tx, 0)
    except InvalidInput:
        return
    assert spend == Spend(SpendKind.UNKNOWN)


def test_a_spend_without_a_witness_is_made_up() -> None:
    (investment, stage), *_ = real_coins().values()
    for witness in ((), (bytes(63),), (sha256(b""), sha256(b""))):
        tx = Tx(2, (TxIn(OutPoint(investment.txid, 2), b"", 0, witness),), (), 0)
        with pytest.raises(InvalidInput):
            classify(investment, stage, tx, 0)
