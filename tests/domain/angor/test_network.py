"""Networks and root keys, against the constants of the reference."""

import json
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.network import NETWORKS, may_belong_to, network_beginning, network_named
from raised.domain.bitcoin.bip32 import parse_xpub
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
REFERENCE: dict[str, Any] = json.loads((VECTORS / "networks.json").read_text())
OURS = [entry for entry in REFERENCE["networks"] if entry["name"] != "Liquid"]
# What the clients compare is wrong for these two, and says so in its note.
MISTAKEN = {"Signet", "Regtest"}


def test_every_network_of_the_reference_but_liquid_is_known() -> None:
    assert [network.angor_name for network in NETWORKS] != []
    assert {network.angor_name for network in NETWORKS} == {entry["name"] for entry in OURS}


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: str(entry["name"]))
def test_a_network_is_as_the_reference_says(entry: dict[str, Any]) -> None:
    network = network_named(entry["name"])
    assert network.is_main == entry["isMainnet"]
    assert network.hrp == entry["hrp"]
    assert network.root == parse_xpub(REFERENCE["rootKeys"][entry["rootKey"]]["xpub"])
    if "genesisIdInReferenceCode" in entry and entry["name"] not in MISTAKEN:
        assert network.genesis.startswith(entry["genesisIdInReferenceCode"])


def test_a_name_counts_whatever_its_case() -> None:
    assert network_named("ANGORNET").name == "angornet"
    with pytest.raises(InvalidInput):
        network_named("angornet ")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Angornet-like (address prefix tb)", "angornet"),
        ("testnet4, the newer one", "testnet4"),
        ("Testnet", "testnet"),
        ("mainnet", "main"),
        ("regtest", "regtest"),
    ],
)
def test_a_text_counts_by_the_name_it_begins_with(text: str, name: str) -> None:
    assert network_beginning(text).name == name


@pytest.mark.parametrize("text", ["", "Liquid", "the Main one"])
def test_a_text_that_begins_with_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        network_beginning(text)


@pytest.mark.parametrize(
    ("ours", "theirs", "fitting"),
    [
        ("angornet", "Angornet", True),
        ("angornet", "angornet", True),
        ("angornet", "", True),
        ("angornet", "Main", False),
        ("angornet", "Signet", False),
        ("angornet", "Bitcoin", False),
        ("main", "Main", True),
        ("main", "Bitcoin", True),
        ("main", "Liquid", False),
        ("main", "Testnet", False),
        ("regtest", "Liquid", False),
    ],
)
def test_an_event_fits_its_own_network_and_an_unknown_name_is_main(
    ours: str, theirs: str, *, fitting: bool
) -> None:
    assert may_belong_to(network_named(ours), theirs) is fitting
