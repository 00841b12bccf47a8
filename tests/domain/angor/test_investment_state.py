"""How an investment stands where the writer's tests do not look."""

from dataclasses import replace

import pytest

from raised.domain.angor.identifier import project_script
from raised.domain.angor.investment_snapshot import changes_between, investment_snapshot
from raised.domain.angor.investment_state import (
    InvestmentContext,
    Place,
    Spender,
    StoredTx,
    Tip,
    evaluate_investment,
    spender_of,
)
from raised.domain.bitcoin.script import OP_RETURN, push
from raised.domain.bitcoin.tx import OutPoint, Tx, TxIn, TxOut
from raised_simnet.actors.keys import key_of

PROJECT = "angor1qj4rsy6fl9fmhxy8pu58jwvrsf9kj90z9fa0e3p"
TIP = Tip(100, "tip", 1)
KEY = key_of(1, "investor").public


def tx(*outputs: TxOut, coin: int = 0) -> Tx:
    return Tx(2, (TxIn(OutPoint(f"{coin:064x}", 0), b"", 0),), outputs, 0)


def marked(*pushes: bytes) -> TxOut:
    return TxOut(0, bytes([OP_RETURN]) + b"".join(map(push, pushes)))


FEE = TxOut(7, project_script(PROJECT))
PLACE = Place(100, "hash", 1, 60_000)


@pytest.mark.parametrize(
    ("outputs", "status", "reason"),
    [
        ((FEE,), "rejected", "no_op_return"),
        ((FEE, FEE, marked(KEY)), "rejected", "no_op_return"),
        ((FEE, marked(KEY, b"x")), "rejected", "bad_op_return"),
        ((FEE, marked(b"\x02" + b"\xff" * 32)), "rejected", "bad_investor_key"),
        ((marked(KEY), marked(KEY)), "rejected", "wrong_fee_output"),
        ((FEE, marked(KEY)), "unverified", None),
    ],
)
def test_without_terms_only_what_no_terms_could_heal_is_rejected(
    outputs: tuple[TxOut, ...], status: str, reason: str | None
) -> None:
    context = InvestmentContext(PROJECT, None, counts=False, founding=None)
    stored = StoredTx(tx(*outputs), PLACE, 5, gone=False)
    standing = evaluate_investment(context, stored, {}, TIP)
    assert (standing.status, standing.reason, standing.rows) == (status, reason, ())
    gone = evaluate_investment(context, replace(stored, place=None, gone=True), {}, TIP)
    assert (gone.status, gone.reason, gone.at) == ("dropped", None, 5)


def test_of_several_spenders_the_mined_one_counts_then_the_newest_that_is_somewhere() -> None:
    mined, old, new, gone = (
        Spender(StoredTx(tx(FEE, coin=place), None, 10 + place, gone=place == 3), 0)
        for place in range(4)
    )
    assert spender_of([old, new, gone]) == new
    assert spender_of([gone]) is None
    mined = replace(mined, stored=replace(mined.stored, place=PLACE, gone=True))
    assert spender_of([old, gone, mined, new]) == mined


def test_a_view_that_does_not_change_is_no_news() -> None:
    context = InvestmentContext(PROJECT, None, counts=False, founding=None)
    stored = StoredTx(tx(FEE, marked(KEY)), PLACE, 5, gone=False)
    snapshot = investment_snapshot(evaluate_investment(context, stored, {}, TIP))
    assert changes_between(snapshot, snapshot) == []
    (change,) = changes_between(None, snapshot)
    assert (change.type, change.project_id) == ("investment.unverified", PROJECT)
