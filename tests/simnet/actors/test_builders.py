"""The simnet's builders against the vectors: an oracle must not share its mistakes with raised."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.rig.vectors import ANGOR

from raised.domain.bitcoin.hashes import tagged
from raised.domain.bitcoin.script import p2wsh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn
from raised_simnet.actors.amount_split import equal_percents, fee_of, split_gross, split_net
from raised_simnet.actors.announcing import project_event
from raised_simnet.actors.funding_txs import FundedStage, Pledge, StageCoin, funding_tx
from raised_simnet.actors.identifiers import MAIN_ROOT, TEST_ROOT, Rule, identifier_of, script_of
from raised_simnet.actors.keys import Key
from raised_simnet.actors.op_returns import (
    DynamicChoice,
    founding_mark,
    investor_mark,
    legacy_founding_mark,
)
from raised_simnet.actors.project_plan import PlannedStage, ProjectPlan, ProjectType
from raised_simnet.actors.release_dates import Frequency, Pattern, PayoutDay, payout_times
from raised_simnet.actors.signing import tapscript_digest
from raised_simnet.actors.stage_scripts import (
    INTERNAL_KEY,
    end_leaf,
    founder_leaf,
    leaf_key,
    penalty_script,
    penalty_sequence,
    recover_leaf,
    seeder_leaves,
    stage_scripts,
)
from raised_simnet.actors.stage_spends import penalty_output

VECTORS = ANGOR
Json = dict[str, Any]


def vectors(name: str) -> Json:
    loaded: Json = json.loads((VECTORS / f"{name}.json").read_text(), parse_float=Decimal)
    return loaded


def plan_from(info: Json) -> ProjectPlan:
    seeders = info["projectSeeders"]
    return ProjectPlan(
        kind=ProjectType(info.get("projectType", 0)),
        founder_key=bytes.fromhex(info["founderKey"]),
        recovery_key=bytes.fromhex(info["founderRecoveryKey"]),
        nostr_pubkey=info["nostrPubKey"],
        start_at=info["startDate"],
        end_at=info["endDate"] if info["endDate"] > 0 else None,
        expiry_at=info["expiryDate"],
        penalty_days=info["penaltyDays"],
        target=info["targetAmount"],
        threshold=info.get("penaltyThreshold"),
        stages=tuple(
            PlannedStage(Decimal(stage["amountToRelease"]), stage["releaseDate"])
            for stage in info["stages"]
        ),
        patterns=tuple(pattern_from(p) for p in info.get("dynamicStagePatterns", [])),
        secrets_needed=seeders["threshold"],
        secret_hashes=tuple(bytes.fromhex(text)[::-1] for text in seeders["secretHashes"]),
        network_name=info.get("networkName", ""),
        claimed_identifier=info["projectIdentifier"],
    )


def pattern_from(fields: Json) -> Pattern:
    return Pattern(
        pattern_id=fields.get("patternId", 0),
        name=fields.get("name", ""),
        frequency=Frequency(fields["frequency"]),
        stage_count=fields.get("stageCount", 0),
        payout=PayoutDay(fields["payoutDayType"]),
        day=fields["payoutDay"],
        amount=fields.get("amount"),
    )


def pledge_from(investment: Json) -> Pledge:
    secret_hash = investment.get("secretHashBytes")
    dynamic = investment.get("dynamic")
    return Pledge(
        investor_key=bytes.fromhex(investment["investorKey"]),
        gross=investment["gross"],
        secret_hash=bytes.fromhex(secret_hash) if secret_hash else None,
        choice=DynamicChoice(dynamic["startDate"], dynamic["patternId"], dynamic["stageCount"])
        if dynamic
        else None,
    )


PROJECTS: list[Json] = vectors("stage_scripts")["projects"]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: str(project["name"]))
def test_an_investment_has_the_outputs_of_the_vector(project: Json) -> None:
    plan = plan_from(project["projectInfo"])
    assert plan.address_script.hex() == project["feeScriptPubKey"]
    for investment in project["investments"]:
        placement = funding_tx(plan, pledge_from(investment))
        got = [(output.value, output.script_pubkey.hex()) for output in placement.outputs]
        assert got == [(o["value"], o["scriptPubKey"]) for o in investment["outputs"]]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: str(project["name"]))
def test_every_leaf_and_control_block_is_that_of_the_vector(project: Json) -> None:
    plan = plan_from(project["projectInfo"])
    for investment in project["investments"]:
        placement = funding_tx(plan, pledge_from(investment))
        for stage, expected in zip(placement.stages, investment["stages"], strict=True):
            assert stage.release_at == expected["releaseDate"]
            assert stage.expiry_at == investment["effectiveExpiry"]
            assert _in_order(expected["leaves"]) == [s.hex() for s in stage.stage_scripts.scripts]
            blocks = [block.hex() for block in stage.stage_scripts.control_blocks]
            assert _in_order(expected["controlBlocks"]) == blocks
            assert stage.stage_scripts.root.hex() == expected["merkleRoot"]


def _in_order(by_name: Json) -> list[str]:
    return [by_name["founder"], by_name["recover"], by_name["endOfProject"], *by_name["seeders"]]


def test_keys_are_tweaked_for_leaves_on_both_sides() -> None:
    project = PROJECTS[0]
    founder = Key(bytes.fromhex(project["founderPrivateKey"]))
    assert founder.public.hex() == project["projectInfo"]["founderKey"]
    assert leaf_key(founder.public).hex() == project["founderLeafKey"]
    assert Key(founder.leaf_secret).xonly == leaf_key(founder.public)


@pytest.mark.parametrize("tree", vectors("huffman")["trees"], ids=lambda t: str(t["seeders"]))
def test_the_tree_grows_as_the_clients_queue_grows_it(tree: Json) -> None:
    names = ["F", "R", "E", *(f"S{k}" for k in range(tree["seeders"]))]
    locked = stage_scripts([name.encode() for name in names])
    hashes = dict(zip(names, locked.leaf_hashes, strict=True))
    depths = {n: (len(b) - 33) // 32 for n, b in zip(names, locked.control_blocks, strict=True)}
    assert depths == tree["depths"]
    assert _digest(json.loads(_quoted(tree["tree"])), hashes) == locked.root


def _quoted(text: str) -> str:
    spaced = text.replace("(", " ( ").replace(")", " ) ").split()
    parts = ["[" if w == "(" else "]" if w == ")" else f'"{w}"' for w in spaced]
    return ",".join(parts).replace("[,", "[").replace(",]", "]")


def _digest(node: Any, hashes: dict[str, bytes]) -> bytes:
    if isinstance(node, str):
        return hashes[node]
    left, right = (_digest(child, hashes) for child in node)
    return tagged("TapBranch", min(left, right) + max(left, right))


RULES: dict[str, Rule] = {"v1v2": "v2", "v3": "v3", "legacy": "legacy"}


@pytest.mark.parametrize("case", vectors("derivation")["keys"], ids=lambda c: str(c["label"]))
def test_identifiers_derive_from_the_founder_key(case: Json) -> None:
    for root_name, root in (("main", MAIN_ROOT), ("test", TEST_ROOT)):
        for name, rule in RULES.items():
            expected = case["roots"][root_name][name]
            identifier = identifier_of(bytes.fromhex(case["founderKey"]), rule, root)
            assert identifier == expected["angorId"]
            assert script_of(identifier).hex() == "0014" + expected["hash160"]


def test_identifiers_of_the_reference_code() -> None:
    for case in vectors("reference_golden")["identifiers"]:
        key = bytes.fromhex(case["founderKey"])
        if case["angorId"]:
            assert identifier_of(key) == case["angorId"]
        if "legacyAngorId" in case:
            assert identifier_of(key, "legacy") == case["legacyAngorId"]


@pytest.mark.parametrize("case", vectors("op_return")["valid"], ids=lambda c: str(c["script"])[-9:])
def test_marks_are_written_as_the_vectors_have_them(case: Json) -> None:
    assert _mark(case).hex() == case["script"]


def _mark(case: Json) -> bytes:
    if case["kind"] == "founding":
        key = bytes.fromhex(case["founderKey"])
        return founding_mark(key, case["nostrEventId"], case["keyType"])
    if case["kind"] == "founding-legacy":
        return legacy_founding_mark(bytes.fromhex(case["founderKey"]), case["nostrPubKey"])
    secret_hash = case.get("secretHashBytes")
    dynamic = case["dynamic"]
    return investor_mark(
        bytes.fromhex(case["investorKey"]),
        bytes.fromhex(secret_hash) if secret_hash else None,
        DynamicChoice(dynamic["startDate"], dynamic["patternId"], dynamic["stageCount"])
        if dynamic
        else None,
    )


AMOUNTS = vectors("amounts")
AMOUNT_CASES = [
    *AMOUNTS["cases"],
    *AMOUNTS["halfwayCases"]["cases"],
    *vectors("reference_golden")["amounts"]["cases"],
]


@pytest.mark.parametrize("case", AMOUNT_CASES, ids=lambda c: str(c["gross"]))
def test_amounts_are_split_as_the_clients_split_them(case: Json) -> None:
    gross = case["gross"]
    texts = case.get("percentages")
    percents = tuple(map(Decimal, texts)) if texts else equal_percents(case["equalSplit"])
    assert fee_of(gross) == case["fee"]
    assert list(split_net(gross - fee_of(gross), percents)) == case["stages"]
    if legacy := case.get("legacyFeeOnTop"):
        assert list(split_gross(gross, percents)) == legacy["stages"]


@pytest.mark.parametrize("case", vectors("dynamic_dates")["cases"], ids=str)
def test_dynamic_stages_fall_on_the_days_of_the_vectors(case: Json) -> None:
    expected = [stage["releaseDate"] for stage in case["stages"]]
    assert list(payout_times(case["start"], pattern_from(case), len(expected))) == expected


@pytest.mark.parametrize("case", vectors("reference_golden")["dynamicDates"]["cases"], ids=str)
def test_dynamic_stages_fall_on_the_days_of_the_reference_tests(case: Json) -> None:
    start = int(datetime.fromisoformat(case["start"]).replace(tzinfo=UTC).timestamp())
    for stage in case["expected"]:
        at = payout_times(start, pattern_from(case), stage["stageIndex"] + 1)[-1]
        assert f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}" == stage["date"]


@pytest.mark.parametrize("case", vectors("dynamic_dates")["errors"], ids=str)
def test_an_impossible_pattern_has_no_dates(case: Json) -> None:
    with pytest.raises(ValueError, match="a day of the"):
        payout_times(1769731200, pattern_from(case), 1)


@pytest.mark.parametrize("case", vectors("penalty")["cases"], ids=lambda c: str(c["script"])[2:20])
def test_penalty_outputs_are_those_of_the_vectors(case: Json) -> None:
    key = bytes.fromhex(case["investorKey"])
    script = penalty_script(key, case["penaltyDays"])
    assert penalty_sequence(case["penaltyDays"]) == case["sequence"]
    assert (script.hex(), p2wsh(script).hex()) == (case["script"], case["scriptPubKey"])


def test_the_reference_recovery_is_rebuilt_and_signs_the_same_messages() -> None:
    golden = vectors("reference_golden")["recoverySighash"]
    founder, recovery, investor = (
        bytes.fromhex(golden[name]) for name in ("founderKey", "founderRecoveryKey", "investorKey")
    )
    dates = golden["stageDates"]
    coins = []
    for stage in dates["stages"]:
        locked = stage_scripts(
            (
                founder_leaf(founder, stage["releaseDate"]),
                recover_leaf(recovery, investor, None),
                end_leaf(investor, dates["expiryDate"]),
            )
        )
        assert locked.script_pubkey.hex() == stage["scriptPubKey"]
        placed = FundedStage(0, stage["releaseDate"], 0, locked)
        outpoint = OutPoint(golden["investmentTxid"], 2 + stage["index"])
        coins.append(StageCoin(outpoint, placed))
    coins = [_priced(coin, golden["investmentTxHexNormalised"]) for coin in coins]
    outputs = [penalty_output(coin, investor, golden["penaltyDays"]) for coin in coins]
    inputs = tuple(TxIn(coin.outpoint, b"", 0xFFFFFFFF) for coin in coins)
    tx = Tx(1, inputs, tuple(outputs), 0)
    assert tx.serialize().hex() == golden["recoveryTxHex"]
    spent = [coin.output for coin in coins]
    digests = [
        tapscript_digest(
            tx, vin, spent, coin.stage.stage_scripts.scripts[1], golden["sighashType"]
        ).hex()
        for vin, coin in enumerate(coins)
    ]
    assert digests == golden["expectedSighashes"]


def _priced(coin: StageCoin, investment_hex: str) -> StageCoin:
    """The coin with the value that stands before its script in the reference's transaction."""
    raw = bytes.fromhex(investment_hex)
    at = raw.index(b"\x22" + coin.output.script_pubkey)
    value = int.from_bytes(raw[at - 8 : at], "little")
    stage = coin.stage
    placed = FundedStage(value, stage.release_at, stage.expiry_at, stage.stage_scripts)
    return StageCoin(coin.outpoint, placed)


def test_fifteen_outputs_of_the_reference_with_seeders_are_rebuilt() -> None:
    golden = vectors("reference_golden")["founderSpendFixedData"]
    founder = bytes.fromhex(golden["founderKey"])
    hashes = [bytes.fromhex(text)[::-1] for text in golden["seeders"]["secretHashes"]]
    threshold = golden["seeders"]["threshold"]
    assert identifier_of(founder, "legacy") == golden["legacyAngorId"]
    for tx in golden["transactions"]:
        investor = bytes.fromhex(tx["investorKey"])
        own = bytes.fromhex(tx["opReturnSecretHashBytes"]) if tx["isSeeder"] else None
        for stage in tx["stages"]:
            locked = stage_scripts(
                (
                    founder_leaf(founder, stage["releaseDate"]),
                    recover_leaf(founder, investor, own),
                    end_leaf(investor, golden["expiryDate"]),
                    *(() if own else seeder_leaves(investor, threshold, hashes)),
                )
            )
            assert locked.script_pubkey.hex() == stage["scriptPubKey"]
            assert [script.hex() for script in locked.scripts] == stage["leaves"]
            assert locked.root.hex() == stage["merkleRoot"]


@pytest.mark.parametrize("case", vectors("events")["projectEvents"], ids=lambda c: str(c["name"]))
def test_announcements_read_as_the_clients_write_them(case: Json) -> None:
    event = case["event"]
    if '"projectType"' not in event["content"]:
        return  # an announcement of the first version: the simnet's founders write the second
    by_pubkey = {p["projectInfo"]["nostrPubKey"]: p for p in PROJECTS}
    project = by_pubkey[event["pubkey"]]
    author = Key(bytes.fromhex(project["nostrPrivateKey"]))
    announced = project_event(author, plan_from(project["projectInfo"]), event["created_at"])
    assert announced["content"] == event["content"]
    if event["tags"]:
        assert announced["id"] == event["id"]


def test_the_internal_key_is_the_hash_of_its_text() -> None:
    assert INTERNAL_KEY.hex() == vectors("stage_scripts")["constants"]["internalKey"]
