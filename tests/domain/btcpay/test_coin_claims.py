"""One coin once, whoever claims it and in whatever order."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from raised.domain.btcpay.coin_claims import (
    Claim,
    CoinResult,
    InvoiceReceipts,
    StageOutputStatus,
    receipts_by_invoice,
    resolve_claims,
)
from raised.domain.btcpay.invoice import PaymentStatus
from raised.domain.ledger import BookedRow, correct

COIN = "aa" * 32 + ":1"


def claim(
    store: str = "shop",
    invoice_id: str = "one",
    status: PaymentStatus = "Settled",
    reference: str = COIN,
    *,
    msats: int = 1000,
    at: int = 10,
    method: str = "BTC-CHAIN",
) -> Claim:
    return Claim(store, invoice_id, method, reference, msats, status, at, reference[:64])


claims = st.lists(
    st.builds(
        claim,
        st.sampled_from(["shop", "stall"]),
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from(["Settled", "Processing", "Invalid", "Other"]),
        st.sampled_from(["a:0", "b:0", "c:1", "hash"]),
        msats=st.integers(0, 5),
        at=st.integers(0, 3),
        method=st.sampled_from(["BTC-CHAIN", "BTC-LN"]),
    ),
    max_size=12,
    # as the record keeps them: one row for each payment of an invoice
    unique_by=lambda one: (one.invoice, one.method, one.reference),
)
stages = st.dictionaries(
    st.sampled_from(["a:0", "b:0", "c:1"]), st.sampled_from(["unconfirmed", "confirmed"])
)


def book(
    found: Sequence[Claim], staged: dict[str, StageOutputStatus], booked: list[BookedRow]
) -> None:
    """Bring what is booked in line with the claims."""
    verdicts = resolve_claims(found, booked, staged)
    due = [one.counted.row for one in verdicts.values() if one.counted is not None]
    correction = correct(booked, due)
    first = max((one.id for one in booked), default=0) + 1
    gone = {one.id for one in correction.reversals}
    booked[:] = [one for one in booked if one.id not in gone]
    booked += [BookedRow(first + place, row) for place, row in enumerate(correction.rows)]


@given(claims, stages)
def test_a_coin_is_counted_or_pending_at_most_once(
    found: list[Claim], staged: dict[str, StageOutputStatus]
) -> None:
    for reference, verdict in resolve_claims(found, [], staged).items():
        assert verdict.counted is None or verdict.pending is None
        assert verdict.counted is None or verdict.counted.reference == reference
        if staged.get(reference) == "confirmed":
            assert verdict == CoinResult()
        if staged.get(reference) == "unconfirmed":
            assert verdict.pending is None


@given(claims, stages)
def test_a_settled_coin_is_counted_unless_an_investment_has_it(
    found: list[Claim], staged: dict[str, StageOutputStatus]
) -> None:
    verdicts = resolve_claims(found, [], staged)
    for one in found:
        if (
            one.status == "Settled"
            and one.amount_msats
            and staged.get(one.reference) != "confirmed"
        ):
            assert verdicts[one.reference].counted is not None


@given(claims, stages)
def test_what_invoices_received_is_what_the_coins_are(
    found: list[Claim], staged: dict[str, StageOutputStatus]
) -> None:
    verdicts = resolve_claims(found, [], staged).values()
    totals = receipts_by_invoice(verdicts, {one.invoice for one in found}).values()
    counted = [one.counted for one in verdicts if one.counted is not None]
    pending = [one.pending for one in verdicts if one.pending is not None]
    assert sum(one.counted_msats for one in totals) == sum(one.amount_msats for one in counted)
    assert sum(one.pending_msats for one in totals) == sum(one.amount_msats for one in pending)


@given(claims, stages, st.randoms(use_true_random=False))
def test_the_order_in_which_claims_are_told_does_not_matter(
    found: list[Claim], staged: dict[str, StageOutputStatus], chance: random.Random
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert resolve_claims(found, [], staged) == resolve_claims(shuffled, [], staged)


@given(st.lists(st.tuples(claims, stages), max_size=5))
def test_whatever_happened_every_settled_coin_has_one_row(
    history: list[tuple[list[Claim], dict[str, StageOutputStatus]]],
) -> None:
    booked: list[BookedRow] = []
    for found, staged in history:
        book(found, staged, booked)
        references = [one.row.reference for one in booked]
        assert len(references) == len(set(references))
        assert set(references) == {
            one.reference
            for one in found
            if one.status == "Settled"
            and one.amount_msats
            and staged.get(one.reference) != "confirmed"
        }
        again = list(booked)
        book(found, staged, again)
        assert again == booked


@given(claims, claims)
def test_who_was_booked_first_keeps_the_coin(early: list[Claim], late: list[Claim]) -> None:
    booked: list[BookedRow] = []
    book(early, {}, booked)
    before = {one.row.reference: one.row.invoice for one in booked}
    known = {(one.invoice, one.method, one.reference) for one in early}
    more = [one for one in late if (one.invoice, one.method, one.reference) not in known]
    book([*early, *more], {}, booked)
    after = {one.row.reference: one.row.invoice for one in booked}
    assert {key: after[key] for key in before} == before


def test_the_other_store_takes_over_when_the_first_payment_is_replaced() -> None:
    booked: list[BookedRow] = []
    book([claim("stall", at=20)], {}, booked)
    book([claim("stall", at=20), claim("shop", at=10)], {}, booked)
    assert [one.row.store for one in booked] == ["stall"]
    book([claim("stall", status="Invalid", at=20), claim("shop", at=10)], {}, booked)
    assert [one.row.store for one in booked] == ["shop"]


def test_a_payment_seen_by_two_methods_of_one_invoice_counts_once() -> None:
    found = [claim(method="BTC-LNURL"), claim(method="BTC-LN")]
    assert resolve_claims(found, [], {})[COIN].counted == found[1]
    assert receipts_by_invoice(resolve_claims(found, [], {}).values(), [("shop", "one")]) == {
        ("shop", "one"): InvoiceReceipts(1000, 0, 10)
    }


def test_a_payment_that_settled_with_another_amount_is_booked_anew() -> None:
    booked: list[BookedRow] = []
    book([claim(msats=5)], {}, booked)
    book([claim(msats=7)], {}, booked)
    assert [one.row.amount_msats for one in booked] == [7]
