"""Documents for the offline audit that strangers made: an answer or a sentence, never a crash."""

import json
import random
from typing import Any

import pytest
from tests.rig import vectors

from raised.domain.audit.case_file import audit_file, audit_text
from raised.domain.audit.report import as_json
from raised.domain.bitcoin.script import p2wpkh
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut, parse_tx
from raised.errors import InvalidInput

VECTORS = vectors.ANGOR
NAMES = ["invest", "seeders", "fund", "subscribe"]
IN = (TxIn(OutPoint("11" * 32, 0), b"", 0),)
ODD_TXS = [
    Tx(1, IN, (), 0),
    Tx(0xFFFFFFFF, IN, (TxOut(0, b""),), 0xFFFFFFFF),
    Tx(1, IN, (TxOut(0, p2wpkh(bytes(20))),), 0),
    Tx(1, IN, (TxOut(0, b"\x6a"), TxOut(0, b"\x6a")), 0),
    Tx(1, IN, (TxOut(0, b"\x6a\x21"), TxOut(0, b"\x6a\x4e\xff\xff\xff\xff")), 0),
]


def story(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / f"scenario_{name}.json").read_text())
    return document


def json_of(document: dict[str, Any]) -> dict[str, Any]:
    return dict(as_json(audit_file(document)))


@pytest.mark.parametrize("tx", ODD_TXS, ids=range(len(ODD_TXS)))
@pytest.mark.parametrize("height", [None, 0, 5])
def test_any_transaction_beside_a_project_changes_nothing(tx: Tx, height: int | None) -> None:
    document = story("invest")
    before = json_of(document)
    place = {"height": height, "time": 1_700_000_000, "indexInBlock": 7}
    document["transactions"].append({"hex": tx.serialize().hex(), **place})
    after = json_of(document)
    assert after["totals"] == before["totals"]
    assert after["project"] == before["project"]
    assert len(after["transactions"]) == len(before["transactions"]) + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_document_decides_nothing(name: str) -> None:
    document = story(name)
    before = as_json(audit_file(document))
    random.Random(name).shuffle(document["transactions"])
    assert as_json(audit_file(document)) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_witness_that_was_left_out_or_changed_moves_no_money(name: str) -> None:
    """What a file cannot prove stays locked, and is named as a problem."""
    document = story(name)
    for entry in document["transactions"]:
        if entry["expected"]["type"] == "spend":
            tx = parse_tx(bytes.fromhex(entry["hex"]))
            entry["hex"] = tx.serialize(witness=False).hex()
    report = audit_file(document)
    totals = json_of(document)["totals"]
    assert totals["locked_sats"] == totals["raised_sats"]
    assert report.problems


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network", "nowhere"),
        ("network", 1),
        ("network", None),
        ("projectEvent", []),
        ("projectEvent", {"id": "x"}),
        ("transactions", {}),
        ("transactions", [1]),
        ("transactions", [{}]),
        ("transactions", [{"hex": "00"}]),
        ("transactions", [{"hex": "zz"}]),
        ("transactions", None),
    ],
)
def test_a_document_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidInput):
        audit_text(json.dumps({**story("invest"), key: value}))


@pytest.mark.parametrize("field", ["height", "time", "indexInBlock"])
@pytest.mark.parametrize("value", [-1, 1 << 63, 10**30, "1", 1.5, True, [], {}])
def test_a_place_that_is_none_is_refused(field: str, value: object) -> None:
    document = story("invest")
    document["transactions"][0][field] = value
    with pytest.raises(InvalidInput):
        audit_text(json.dumps(document))
