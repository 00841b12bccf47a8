"""The ledger's arithmetic, for any history of what was due."""

from hypothesis import given
from hypothesis import strategies as st

from raised.domain.ledger import BookedRow, LedgerRow, correct, effects


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
        undone = {one.id for one in correction.reversals}
        active = [one for one in active if one.id not in undone]
        for reversal in correction.reversals:
            written.append(("reversal", reversal.id))
        for new in correction.rows:
            written.append(("row", new.height * 10 + new.position))
            active.append(BookedRow(len(written), new))
    return active, written


@given(duties)
def test_what_is_active_is_what_was_due_last(history: list[set[LedgerRow]]) -> None:
    active, _ = play(history)
    wanted = history[-1] if history else set()
    assert {one.row.key for one in active} == {one.key for one in wanted}


@given(st.sets(rows, max_size=8), st.sets(rows, max_size=8))
def test_a_correction_undoes_the_latest_first_and_books_the_earliest_first(
    before: set[LedgerRow], after: set[LedgerRow]
) -> None:
    booked = [BookedRow(place, one) for place, one in enumerate(correct([], before).rows, 1)]
    correction = correct(booked, after)
    ids = [one.id for one in correction.reversals]
    assert ids == sorted(ids, reverse=True)
    places = [(one.height, one.position) for one in correction.rows]
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
    mine = {one.key for one in due if one.project_id == "p"}
    assert {one.row.key for one in correction.reversals} == mine
    assert {one.key for one in correction.rows} == mine
    assert sum(one.amount_msats for one in effects(correction)) == 0
