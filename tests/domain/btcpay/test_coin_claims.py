"""Each coin counts once, whoever claims it and in whatever order."""

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
    # as the record stores them: one row for each payment of an invoice
    unique_by=lambda entry: (entry.invoice, entry.method, entry.reference),
)
stages = st.dictionaries(
    st.sampled_from(["a:0", "b:0", "c:1"]), st.sampled_from(["unconfirmed", "confirmed"])
)


def book(
    made: Sequence[Claim], staged: dict[str, StageOutputStatus], booked: list[BookedRow]
) -> None:
    """Bring what is booked in line with the claims."""
    results = resolve_claims(made, booked, staged)
    due = [result.counted.row for result in results.values() if result.counted is not None]
    correction = correct(booked, due)
    first = max((entry.id for entry in booked), default=0) + 1
    gone = {entry.id for entry in correction.reversals}
    booked[:] = [entry for entry in booked if entry.id not in gone]
    booked += [BookedRow(first + place, row) for place, row in enumerate(correction.rows)]


@given(claims, stages)
def test_a_coin_is_counted_or_pending_at_most_once(
    made: list[Claim], staged: dict[str, StageOutputStatus]
) -> None:
    for reference, result in resolve_claims(made, [], staged).items():
        assert result.counted is None or result.pending is None
        assert result.counted is None or result.counted.reference == reference
        if staged.get(reference) == "confirmed":
            assert result == CoinResult()
        if staged.get(reference) == "unconfirmed":
            assert result.pending is None


@given(claims, stages)
def test_a_settled_coin_is_counted_unless_an_investment_has_it(
    made: list[Claim], staged: dict[str, StageOutputStatus]
) -> None:
    results = resolve_claims(made, [], staged)
    for paid in made:
        if (
            paid.status == "Settled"
            and paid.amount_msats
            and staged.get(paid.reference) != "confirmed"
        ):
            assert results[paid.reference].counted is not None


@given(claims, stages)
def test_what_invoices_received_is_what_the_coins_are(
    made: list[Claim], staged: dict[str, StageOutputStatus]
) -> None:
    results = resolve_claims(made, [], staged).values()
    totals = receipts_by_invoice(results, {paid.invoice for paid in made}).values()
    counted = [result.counted for result in results if result.counted is not None]
    pending = [result.pending for result in results if result.pending is not None]
    assert sum(total.counted_msats for total in totals) == sum(
        paid.amount_msats for paid in counted
    )
    assert sum(total.pending_msats for total in totals) == sum(
        paid.amount_msats for paid in pending
    )


@given(claims, stages, st.randoms(use_true_random=False))
def test_the_order_in_which_claims_are_given_does_not_matter(
    made: list[Claim], staged: dict[str, StageOutputStatus], chance: random.Random
) -> None:
    shuffled = list(made)
    chance.shuffle(shuffled)
    assert resolve_claims(made, [], staged) == resolve_claims(shuffled, [], staged)


@given(st.lists(st.tuples(claims, stages), max_size=5))
def test_whatever_happened_every_settled_coin_has_one_row(
    history: list[tuple[list[Claim], dict[str, StageOutputStatus]]],
) -> None:
    booked: list[BookedRow] = []
    for made, staged in history:
        book(made, staged, booked)
        references = [entry.row.reference for entry in booked]
        assert len(references) == len(set(references))
        assert set(references) == {
            paid.reference
            for paid in made
            if paid.status == "Settled"
            and paid.amount_msats
            and staged.get(paid.reference) != "confirmed"
        }
        again = list(booked)
        book(made, staged, again)
        assert again == booked


@given(claims, claims)
def test_the_claim_booked_first_keeps_the_coin(early: list[Claim], late: list[Claim]) -> None:
    booked: list[BookedRow] = []
    book(early, {}, booked)
    before = {entry.row.reference: entry.row.invoice for entry in booked}
    known = {(paid.invoice, paid.method, paid.reference) for paid in early}
    more = [paid for paid in late if (paid.invoice, paid.method, paid.reference) not in known]
    book([*early, *more], {}, booked)
    after = {entry.row.reference: entry.row.invoice for entry in booked}
    assert {key: after[key] for key in before} == before


def test_the_other_store_takes_over_when_the_first_payment_is_replaced() -> None:
    booked: list[BookedRow] = []
    book([claim("stall", at=20)], {}, booked)
    book([claim("stall", at=20), claim("shop", at=10)], {}, booked)
    assert [entry.row.store for entry in booked] == ["stall"]
    book([claim("stall", status="Invalid", at=20), claim("shop", at=10)], {}, booked)
    assert [entry.row.store for entry in booked] == ["shop"]


def test_a_payment_seen_by_two_methods_of_one_invoice_counts_once() -> None:
    made = [claim(method="BTC-LNURL"), claim(method="BTC-LN")]
    assert resolve_claims(made, [], {})[COIN].counted == made[1]
    assert receipts_by_invoice(resolve_claims(made, [], {}).values(), [("shop", "one")]) == {
        ("shop", "one"): InvoiceReceipts(1000, 0, 10)
    }


def test_a_payment_that_settled_with_another_amount_is_booked_anew() -> None:
    booked: list[BookedRow] = []
    book([claim(msats=5)], {}, booked)
    book([claim(msats=7)], {}, booked)
    assert [entry.row.amount_msats for entry in booked] == [7]
