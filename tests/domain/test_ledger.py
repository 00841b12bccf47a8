"""The ledger's arithmetic, for any history of what was due."""

from hypothesis import given
from hypothesis import strategies as st

from raised.domain.ledger import BookedRow, Correction, LedgerRow, correct, effects


def row(height: int, position: int, kind: str, project: str = "p", fork: str = "") -> LedgerRow:
    return LedgerRow(
        kind=kind,  # type: ignore[arg-type]
        amount_msats=1000 * (position + 1),
        at=height * 600,
        height=height,
        block_hash=f"{height}{fork}",
        reference=f"{height}:{position}",
        txid=str(position),
        project_id=project,
        investment_txid=f"i{position}",
        party=None,
        position=position,
    )


rows = st.builds(
    row,
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from(["investment", "claim", "recovery"]),
    st.sampled_from(["p", "q"]),
    st.sampled_from(["", "fork"]),
)
duties = st.lists(st.sets(rows, max_size=6), max_size=6)


def play(history: list[set[LedgerRow]]) -> tuple[list[BookedRow], list[tuple[str, int]]]:
    """The active rows after each duty was met in turn, and all that was booked."""
    active: list[BookedRow] = []
    written: list[tuple[str, int]] = []
    for due in history:
        correction = correct(active, due)
        undone = {reversal.id for reversal in correction.reversals}
        active = [row for row in active if row.id not in undone]
        for reversal in correction.reversals:
            written.append(("reversal", reversal.id))
        for new in correction.rows:
            written.append(("row", (new.height or 0) * 10 + new.position))
            active.append(BookedRow(len(written), new))
    return active, written


@given(duties)
def test_what_is_active_is_what_was_due_last(history: list[set[LedgerRow]]) -> None:
    active, _ = play(history)
    wanted = history[-1] if history else set()
    assert {row.row.key for row in active} == {row.key for row in wanted}


@given(st.sets(rows, max_size=8), st.sets(rows, max_size=8))
def test_a_correction_undoes_the_latest_first_and_books_the_earliest_first(
    before: set[LedgerRow], after: set[LedgerRow]
) -> None:
    booked = [BookedRow(place, one) for place, one in enumerate(correct([], before).rows, 1)]
    correction = correct(booked, after)
    ids = [reversal.id for reversal in correction.reversals]
    assert ids == sorted(ids, reverse=True)
    places = [(row.height or 0, row.position) for row in correction.rows]
    assert places == sorted(places)


@given(st.sets(rows, max_size=8))
def test_nothing_changes_what_is_right(due: set[LedgerRow]) -> None:
    booked = [BookedRow(place, one) for place, one in enumerate(due, 1)]
    correction = correct(booked, due)
    assert (correction.reversals, correction.rows) == ((), ())


@given(st.sets(rows, max_size=8))
def test_a_project_that_begins_anew_is_booked_again_though_nothing_differs(
    due: set[LedgerRow],
) -> None:
    booked = [BookedRow(place, one) for place, one in enumerate(due, 1)]
    correction = correct(booked, due, frozenset("p"))
    mine = {row.key for row in due if row.project_id == "p"}
    assert {reversal.row.key for reversal in correction.reversals} == mine
    assert {row.key for row in correction.rows} == mine
    assert sum(effect.amount_msats for effect in effects(correction)) == 0


def paid(at: int, store: str, invoice: str) -> LedgerRow:
    return LedgerRow(
        kind="payment",
        amount_msats=21,
        at=at,
        height=None,
        block_hash=None,
        reference=f"{store}{invoice}",
        txid=None,
        store=store,
        invoice_id=invoice,
    )


def test_payments_are_booked_in_the_order_of_time() -> None:
    due = [paid(30, "a", "x"), paid(10, "b", "y"), paid(10, "a", "z")]
    assert [row.invoice_id for row in correct([], due).rows] == ["z", "y", "x"]


def test_two_corrections_at_once_reverse_everything_before_they_book_anything() -> None:
    angor = Correction((BookedRow(1, row(1, 0, "investment")),), (row(2, 0, "investment"),))
    btcpay = Correction((BookedRow(2, paid(1, "a", "x")),), (paid(1, "b", "x"),))
    both = angor.merged_with(btcpay)
    assert [reversal.id for reversal in both.reversals] == [2, 1]
    assert both.rows == (*angor.rows, *btcpay.rows)
    assert (len(both), bool(both), bool(Correction())) == (4, True, False)


def test_the_sums_of_a_payment_are_those_of_its_invoices_campaign() -> None:
    payment = paid(1, "a", "x")
    correction = Correction((BookedRow(1, payment),), (payment, row(1, 0, "investment", "p")))
    found = effects(correction, {("a", "x"): "sea-ice"})
    assert [(match.owner, match.amount_msats) for match in found] == [
        ("sea-ice", -21),
        ("sea-ice", 21),
        ("p", 1000),
    ]
    assert [match.row.source for match in found] == ["btcpay", "btcpay", "angor"]
