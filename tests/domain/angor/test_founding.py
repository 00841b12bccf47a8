"""Which transactions found a project: the real ones, the scenarios, and who came first."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.angor.founding import Founding, founding_mark, founding_of
from raised.domain.angor.network import network_named
from raised.domain.angor.op_return import LegacyFoundingMark
from raised.domain.bitcoin.tx import Tx, TxOut, parse_tx

VECTORS = vectors.ANGOR
REAL: dict[str, Any] = json.loads((VECTORS / "real_transactions.json").read_text())
ANGORNET = network_named("angornet")
HISTORIC = [entry for entry in REAL["historic"] if "founding" in entry["role"]]


def story_of(name: str) -> dict[str, Any]:
    story: dict[str, Any] = json.loads((VECTORS / f"scenario_{name}.json").read_text())
    return story


def tx_of(entry: dict[str, Any]) -> Tx:
    return parse_tx(bytes.fromhex(entry["hex"]))


@pytest.mark.parametrize("entry", HISTORIC, ids=lambda entry: str(entry["role"][:40]))
def test_real_founding_transactions_pass(entry: dict[str, Any]) -> None:
    founding = founding_of(tx_of(entry), ANGORNET)
    assert founding == Founding(
        txid=entry["txid"],
        project_id=entry.get("angorId") or entry["legacyAngorId"],
        founder_key=bytes.fromhex(entry["founderKey"]),
        event_id=entry.get("nostrEventId"),
        nostr_pubkey=entry.get("nostrPubKey"),
        rule="v2" if "angorId" in entry else "legacy",
    )


@pytest.mark.parametrize("entry", HISTORIC, ids=lambda entry: str(entry["role"][:40]))
def test_on_another_root_the_same_transactions_found_nothing(entry: dict[str, Any]) -> None:
    assert founding_of(tx_of(entry), network_named("main")) is None


@pytest.mark.parametrize(
    "entry",
    [*REAL["angornet"]["transactions"], *(one for one in REAL["historic"] if one not in HISTORIC)],
    ids=lambda entry: str(entry["txid"][:8]),
)
def test_other_real_transactions_found_nothing(entry: dict[str, Any]) -> None:
    """One of them is a seeder's investment, which has the layout of a legacy founding."""
    assert founding_of(tx_of(entry), ANGORNET) is None


@pytest.mark.parametrize("name", ["invest", "seeders", "fund", "subscribe"])
def test_those_of_a_scenario_pass_and_no_other(name: str) -> None:
    story = story_of(name)
    for entry in story["transactions"]:
        founding = founding_of(tx_of(entry), ANGORNET)
        assert (founding is not None) == entry["expected"]["type"].startswith("founding")
        if founding is not None:
            assert founding.project_id == story["projectInfo"]["projectIdentifier"]
            assert founding.txid == entry["txid"]
        if entry["expected"]["type"] == "founding":
            assert founding is not None
            assert founding.event_id == story["projectEvent"]["id"]


def test_a_founding_must_pay_the_address_that_its_key_derives() -> None:
    entry = HISTORIC[0]
    tx = tx_of(entry)
    elsewhere = replace(tx, outputs=(TxOut(10_001, b"\x00\x14" + bytes(20)), *tx.outputs[1:]))
    second = replace(tx, outputs=(tx.outputs[2], tx.outputs[1], tx.outputs[0]))
    tail = replace(tx, outputs=tx.outputs[:1])
    for other in (elsewhere, second, tail):
        assert founding_of(other, ANGORNET) is None
    assert founding_mark(tail) is None


def test_the_amount_and_key_type_do_not_matter() -> None:
    tx = tx_of(HISTORIC[0])
    cheap = replace(tx, outputs=(TxOut(1, tx.outputs[0].script_pubkey), *tx.outputs[1:]))
    assert founding_of(cheap, ANGORNET) is not None


def test_a_seeders_mark_looks_like_a_legacy_founding_but_derives_another_project() -> None:
    seeder = next(
        entry for entry in story_of("seeders")["transactions"] if entry["label"] == "seeder_1"
    )
    assert isinstance(founding_mark(tx_of(seeder)), LegacyFoundingMark)
    assert founding_of(tx_of(seeder), ANGORNET) is None
