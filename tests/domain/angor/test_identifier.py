"""Identifiers from founder keys: every derivation of the vectors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rig import vectors

from raised.domain.angor.identifier import (
    RULES,
    Rule,
    derivation_rule,
    identifier,
    program_of,
    project_script,
)
from raised.domain.angor.network import NETWORKS, Network, network_named
from raised.domain.bitcoin.bech32 import address, encode
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
DERIVATION: dict[str, Any] = json.loads((VECTORS / "derivation.json").read_text())
GOLDEN: dict[str, Any] = json.loads((VECTORS / "reference_golden.json").read_text())
REAL: dict[str, Any] = json.loads((VECTORS / "real_transactions.json").read_text())
PUBLIC = [
    (entry["network"], project_id, entry.get("address"))
    for entry in (REAL["angornet"], *REAL["publicIdentifiers"])
    for project_id in entry.get("angorIds", [entry.get("angorId")])
    if project_id is not None
]
NETWORK_OF = {"main": network_named("main"), "test": network_named("angornet")}
RULE_OF: dict[str, Rule] = {"v1v2": "v2", "v3": "v3", "legacy": "legacy"}
KEYS = [
    pytest.param(entry, root, word, id=f"{entry['label']}-{root}-{word}")
    for entry in DERIVATION["keys"]
    for root in entry["roots"]
    for word in entry["roots"][root]
]


@pytest.mark.parametrize(("entry", "root", "word"), KEYS)
def test_a_key_derives_its_identifier(entry: dict[str, Any], root: str, word: str) -> None:
    expected = entry["roots"][root][word]
    founder_key = bytes.fromhex(entry["founderKey"])
    project_id = identifier(founder_key, NETWORK_OF[root], RULE_OF[word])
    assert project_id == expected["angorId"]
    assert program_of(project_id).hex() == expected["hash160"]
    if "scriptPubKey" in expected:
        assert project_script(project_id).hex() == expected["scriptPubKey"]


@pytest.mark.parametrize(("entry", "root", "word"), KEYS)
def test_the_program_is_an_address_on_every_network(
    entry: dict[str, Any], root: str, word: str
) -> None:
    expected = entry["roots"][root][word]
    for names, text in expected.get("addresses", {}).items():
        for name in names.split("/"):
            if name != "Liquid":
                hrp = network_named(name).hrp
                assert address(hrp, project_script(expected["angorId"])) == text


@pytest.mark.parametrize(("entry", "root", "word"), KEYS)
def test_the_rule_is_found_from_key_and_identifier(
    entry: dict[str, Any], root: str, word: str
) -> None:
    expected = entry["roots"][root][word]
    founder_key = bytes.fromhex(entry["founderKey"])
    rules = {identifier(founder_key, NETWORK_OF[root], rule): rule for rule in reversed(RULES)}
    found = derivation_rule(founder_key, expected["angorId"], NETWORK_OF[root], 3)
    assert found is not None
    assert identifier(founder_key, NETWORK_OF[root], found) == expected["angorId"]
    assert found == rules[expected["angorId"]] or found == "v3"


def test_the_dormant_rule_is_tried_only_for_events_that_claim_it() -> None:
    entry = DERIVATION["keys"][0]
    founder_key = bytes.fromhex(entry["founderKey"])
    project_id = entry["roots"]["main"]["v3"]["angorId"]
    assert derivation_rule(founder_key, project_id, NETWORK_OF["main"], 2) is None
    assert derivation_rule(founder_key, project_id, NETWORK_OF["main"], 3) == "v3"


@pytest.mark.parametrize("case", DERIVATION["walletPaths"]["cases"])
def test_keys_of_wallets_derive_on_both_roots(case: dict[str, Any]) -> None:
    founder_key = bytes.fromhex(case["founderKey"])
    assert identifier(founder_key, NETWORK_OF["test"], "v2") == case["angorIdTest"]
    assert identifier(founder_key, NETWORK_OF["main"], "v2") == case["angorIdMain"]


@pytest.mark.parametrize("case", GOLDEN["identifiers"], ids=lambda case: str(case["founderKey"]))
def test_the_values_of_the_reference_come_out(case: dict[str, Any]) -> None:
    founder_key = bytes.fromhex(case["founderKey"])
    network = NETWORK_OF[case["root"]]
    if case["angorId"] is not None:
        assert identifier(founder_key, network, "v2") == case["angorId"]
    if "legacyAngorId" in case:
        legacy = identifier(founder_key, network, "legacy")
        assert legacy == case["legacyAngorId"]
        assert derivation_rule(founder_key, legacy, network, 2) == "legacy"
    if "legacyScript" in case:
        assert project_script(case["legacyAngorId"]).hex() == case["legacyScript"]
    for word, project_id in (("address", "angorId"), ("legacyAddress", "legacyAngorId")):
        if word in case:
            assert address(network.hrp, project_script(case[project_id])) == case[word]


@pytest.mark.parametrize("name", ["recoverySighash", "founderSpendFixedData"])
def test_the_projects_of_the_reference_tests_derive(name: str) -> None:
    golden = GOLDEN[name]
    founder_key = bytes.fromhex(golden["founderKey"])
    project_id = golden.get("angorId") or golden["legacyAngorId"]
    rule = derivation_rule(founder_key, project_id, NETWORK_OF["test"], 2)
    assert rule == ("v2" if "angorId" in golden else "legacy")


@pytest.mark.parametrize(
    "case", DERIVATION["invalidIdentifiers"], ids=lambda case: str(case["reason"])
)
def test_what_is_no_identifier_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        program_of(case["id"])
    with pytest.raises(InvalidInput):
        project_script(case["id"])


@pytest.mark.parametrize(("network", "project_id", "text"), PUBLIC)
def test_identifiers_seen_in_public_are_addresses(
    network: str, project_id: str, text: str | None
) -> None:
    hrp = "bc" if network.startswith("Main") else "tb"
    found = address(hrp, project_script(project_id))
    assert found is not None
    assert text in (None, found)


def test_another_key_or_network_derives_another_identifier() -> None:
    first, second = DERIVATION["keys"][:2]
    founder_key = bytes.fromhex(first["founderKey"])
    project_id = first["roots"]["test"]["v1v2"]["angorId"]
    assert derivation_rule(founder_key, project_id, NETWORK_OF["main"], 2) is None
    other = bytes.fromhex(second["founderKey"])
    assert derivation_rule(other, project_id, NETWORK_OF["test"], 2) is None


def test_a_key_of_another_size_derives_nothing() -> None:
    with pytest.raises(InvalidInput):
        identifier(bytes(32), NETWORK_OF["main"], "v2")


@given(st.text(max_size=100))
def test_any_text_is_an_identifier_or_refused(text: str) -> None:
    try:
        program = program_of(text)
    except InvalidInput:
        return
    assert encode("angor", 0, program) == text.lower()


@given(st.binary(min_size=20, max_size=20))
def test_a_program_survives_being_written(program: bytes) -> None:
    assert program_of(encode("angor", 0, program)) == program


@given(
    st.binary(min_size=33, max_size=33),
    st.sampled_from(NETWORKS),
    st.sampled_from(RULES),
)
def test_every_derived_identifier_is_one(founder_key: bytes, network: Network, rule: Rule) -> None:
    assert len(program_of(identifier(founder_key, network, rule))) == 20
