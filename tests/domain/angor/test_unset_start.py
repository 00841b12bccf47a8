"""Investments in projects whose start date is not set: clients read such terms (angor#383)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.rig.vectors import ANGOR

from raised.domain.angor.investment import Investment, recognise
from raised.domain.angor.investment_state import (
    InvestmentContext,
    Place,
    StoredTx,
    Tip,
    evaluate_investment,
)
from raised.domain.angor.terms import Terms, parse_terms
from raised.domain.bitcoin.tx import Tx, parse_tx


def scenario(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ANGOR / f"scenario_{name}.json").read_text())
    return loaded


def terms_without_start(story: dict[str, Any], unset: int | None) -> Terms:
    event = story["projectEvent"]
    content = json.loads(event["content"], parse_float=str)
    content.pop("startDate")
    if unset is not None:
        content["startDate"] = unset
    return parse_terms(json.dumps(content), event["created_at"])


def investments(story: dict[str, Any], terms: Terms) -> list[Tx]:
    txs = [parse_tx(bytes.fromhex(entry["hex"])) for entry in story["transactions"]]
    return [tx for tx in txs if isinstance(recognise(terms, tx), Investment)]


@pytest.mark.parametrize("unset", [None, -62_135_596_800], ids=["absent", "year one"])
@pytest.mark.parametrize("name", ["invest", "seeders"])
def test_every_investment_counts_without_a_start_date(name: str, unset: int | None) -> None:
    story = scenario(name)
    event = story["projectEvent"]
    known = investments(story, parse_terms(event["content"], event["created_at"]))
    assert known
    assert investments(story, terms_without_start(story, unset)) == known


def test_a_funding_window_without_a_start_has_only_its_end() -> None:
    story = scenario("invest")
    terms = terms_without_start(story, None)
    assert terms.end_at is not None
    tx = investments(story, terms)[0]
    context = InvestmentContext(terms.project_id, terms, counts=True, founding=None)
    tip = Tip(height=10, hash="00" * 32, confirmations=1)
    early = StoredTx(tx, Place(5, "00" * 32, 1, at=1), first_seen_at=1, gone=False)
    assert early.place is not None
    late = replace(early, place=replace(early.place, at=terms.end_at + 1))
    assert "outside_window" not in evaluate_investment(context, early, {}, tip).flags
    assert "outside_window" in evaluate_investment(context, late, {}, tip).flags
