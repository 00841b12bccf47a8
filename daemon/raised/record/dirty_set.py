"""What a batch of observations has changed: what to recompute, and the changes to append."""

from dataclasses import dataclass, field

from raised.db.items.change_item import Item
from raised.domain.angor.investment_state import Tip
from raised.domain.angor.network import Network
from raised.domain.bitcoin.tx import Txid
from raised.domain.change import Change


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided: the network, and after how many blocks a transaction counts
    (`confirmations`) and no reorg is expected any more (`finality`).
    """

    network: Network
    confirmations: int
    finality: int


@dataclass(slots=True)
class DirtySet:
    """Collects within one transaction what must be recomputed at its end, and what happened.

    `at` is the time of the batch, `tip_before` the chain's end before it.
    """

    at: int
    tip_before: Tip | None
    txids: set[Txid] = field(default_factory=set)
    projects: set[str] = field(default_factory=set)
    investments: set[Txid] = field(default_factory=set)
    profile_changed: set[str] = field(default_factory=set)  # projects that only look different
    coins: set[str] = field(default_factory=set)  # references of payments
    payouts: set[tuple[str, str]] = field(default_factory=set)  # store, id
    pending_changes: list[tuple[Change, Item | None]] = field(default_factory=list)

    def add_change(self, change: Change, item: Item | None = None) -> None:
        """Note what happened; its item is rendered at the end when it is not given."""
        self.pending_changes.append((change, item))
