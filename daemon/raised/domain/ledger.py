"""The ledger's arithmetic: which rows must be booked, beside those that are.

A row is never changed. What no longer holds is reversed, latest first; what is missing is booked,
earliest first, so a spend always stands after what it spends. Amounts here are millisatoshis.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

AngorKind = Literal[
    "investment",
    "claim",
    "recovery",
    "penalty_release",
    "unfunded_release",
    "penalty_free_recovery",
    "end_of_project",
    "unknown",
]

REVERSAL: Final = "reversal"
RETURNING: Final = frozenset(
    {"recovery", "unfunded_release", "penalty_free_recovery", "end_of_project"}
)
MSATS: Final = 1000


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One fact about money, as it must be booked. `position` orders the rows of one block."""

    kind: AngorKind
    amount_msats: int
    at: int
    height: int
    block_hash: str
    reference: str
    txid: str
    project_id: str
    investment_txid: str
    party: str | None
    position: int

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same row: everything that is booked."""
        return (
            self.kind,
            self.amount_msats,
            self.at,
            self.height,
            self.block_hash,
            self.reference,
            self.txid,
            self.project_id,
            self.investment_txid,
            self.party,
        )


@dataclass(frozen=True, slots=True)
class BookedRow:
    """A row of the ledger that no reversal has undone."""

    id: int
    row: LedgerRow


@dataclass(frozen=True, slots=True)
class Correction:
    """What turns the booked rows into the right ones: first the reversals, then the new rows."""

    reversals: tuple[BookedRow, ...]
    rows: tuple[LedgerRow, ...]


def correct(
    booked: Iterable[BookedRow], due: Iterable[LedgerRow], anew: frozenset[str] = frozenset()
) -> Correction:
    """The least that makes `booked` equal to `due`.

    The rows of the projects in `anew` are reversed and booked again even where they are equal: the
    founding transaction that they stand on is another one.
    """
    standing = {one.row.key: one for one in booked if one.row.project_id not in anew}
    surplus = [one for one in booked if one.row.project_id in anew]
    missing = [row for row in due if standing.pop(row.key, None) is None]
    surplus.extend(standing.values())
    surplus.sort(key=lambda one: one.id, reverse=True)
    missing.sort(key=lambda row: (row.height, row.position))
    return Correction(tuple(surplus), tuple(missing))


@dataclass(frozen=True, slots=True)
class Effect:
    """What one new ledger row does to the sums of its kind: a reversal takes back."""

    project_id: str
    investment_txid: str
    kind: AngorKind
    at: int
    amount_msats: int
    rows: int


def effects(correction: Correction) -> tuple[Effect, ...]:
    """What a correction does to the sums, row by row."""
    undone = [_effect(one.row, -1) for one in correction.reversals]
    return (*undone, *(_effect(row, 1) for row in correction.rows))


def _effect(row: LedgerRow, sign: int) -> Effect:
    return Effect(
        row.project_id, row.investment_txid, row.kind, row.at, sign * row.amount_msats, sign
    )
