"""The ledger's arithmetic: which rows must be booked, beside those that are.

A row is never changed. What no longer holds is reversed, latest first; what is missing is booked,
earliest first, so a spend always stands after what it spends. Amounts here are millisatoshis.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
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
BtcpayKind = Literal["payment", "refund"]
RowKind = AngorKind | BtcpayKind
Rail = Literal["angor", "btcpay"]
InvoiceKey = tuple[str, str]  # store's label, invoice id

REVERSAL: Final = "reversal"
# Kinds whose rows add to what was raised, and those that add to what went back: net is the
# difference. A claim moves money on to the founder, and a penalty's release was returned before.
RAISING_KINDS: Final[frozenset[RowKind]] = frozenset({"investment", "payment"})
RETURNING_KINDS: Final[frozenset[RowKind]] = frozenset(
    {"recovery", "unfunded_release", "penalty_free_recovery", "end_of_project", "refund"}
)
MSATS_PER_SAT: Final = 1000
_NO_CAMPAIGNS: Final[Mapping[InvoiceKey, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A movement of money, as it must be booked. `position` orders the rows of a block.

    It belongs to a project and an investment of it, or to an invoice of a store; BTCPay names
    no block.
    """

    kind: RowKind
    amount_msats: int
    at: int
    height: int | None
    block_hash: str | None
    reference: str
    txid: str | None
    project_id: str | None = None
    investment_txid: str | None = None
    party: str | None = None
    store: str | None = None
    invoice_id: str | None = None
    position: int = 0

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
            self.store,
            self.invoice_id,
        )

    @property
    def source(self) -> Rail:
        """Where it comes from."""
        return "angor" if self.store is None else "btcpay"

    @property
    def invoice(self) -> InvoiceKey | None:
        """The invoice that it belongs to."""
        if self.store is None or self.invoice_id is None:
            return None
        return self.store, self.invoice_id


@dataclass(frozen=True, slots=True)
class BookedRow:
    """A row of the ledger that no reversal has undone."""

    id: int
    row: LedgerRow


@dataclass(frozen=True, slots=True)
class Correction:
    """What turns the booked rows into the right ones: first the reversals, then the new rows."""

    reversals: tuple[BookedRow, ...] = ()
    rows: tuple[LedgerRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reversals or self.rows)

    def __len__(self) -> int:
        return len(self.reversals) + len(self.rows)

    def merged_with(self, other: "Correction") -> "Correction":
        """Both at once: everything is reversed before anything is booked."""
        reversals = sorted((*self.reversals, *other.reversals), key=lambda booked: -booked.id)
        return Correction(tuple(reversals), (*self.rows, *other.rows))


def correct(
    booked: Iterable[BookedRow], due: Iterable[LedgerRow], refounded: frozenset[str] = frozenset()
) -> Correction:
    """The least that makes `booked` equal to `due`.

    The rows of the projects in `refounded` are reversed and booked again even where they are equal:
    another founding transaction decides there.
    """
    unmatched: dict[tuple[object, ...], BookedRow] = {}
    surplus: list[BookedRow] = []
    for entry in booked:
        if entry.row.project_id in refounded:
            surplus.append(entry)
        else:
            unmatched[entry.row.key] = entry
    missing = [row for row in due if unmatched.pop(row.key, None) is None]
    surplus.extend(unmatched.values())
    surplus.sort(key=lambda entry: entry.id, reverse=True)
    missing.sort(key=_order)
    return Correction(tuple(surplus), tuple(missing))


def _order(row: LedgerRow) -> tuple[int, int, int, str]:
    """The chain's order, else that of time."""
    if row.height is not None:
        return (row.height, row.position, 0, "")
    return (row.at, 0, 1, f"{row.store} {row.invoice_id} {row.reference}")


@dataclass(frozen=True, slots=True)
class Effect:
    """What one new ledger row does to the sums of its kind: a reversal takes back.

    `owner` is whose sum of hours it enters: the project's, or that of the invoice's campaign.
    """

    owner: str
    row: LedgerRow
    sign: Literal[1, -1]

    @property
    def amount_msats(self) -> int:
        """What it adds; negative for a reversal."""
        return self.sign * self.row.amount_msats


def effects(
    correction: Correction, campaigns: Mapping[InvoiceKey, str] = _NO_CAMPAIGNS
) -> tuple[Effect, ...]:
    """What a correction does to the sums, row by row. `campaigns` says where invoices belong."""
    undone = [
        Effect(_owner(booked.row, campaigns), booked.row, -1) for booked in correction.reversals
    ]
    return (*undone, *(Effect(_owner(row, campaigns), row, 1) for row in correction.rows))


def _owner(row: LedgerRow, campaigns: Mapping[InvoiceKey, str]) -> str:
    if row.invoice is not None:
        return campaigns[row.invoice]
    assert row.project_id is not None, "a row has a project or an invoice"
    return row.project_id
