"""What a batch of observations has touched: the units to decide anew, and the news so far."""

from dataclasses import dataclass, field

from raised.db.items.items import Item
from raised.domain.angor.investment_state import Tip
from raised.domain.angor.network import Network
from raised.domain.bitcoin.tx import Txid
from raised.domain.change import Change


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided: the network, how deep counts, how deep is final."""

    network: Network
    confirmations: int
    finality: int


@dataclass(slots=True)
class DirtySet:
    """Collects within one transaction. `news` are changes with their items, where already known."""

    at: int
    tip_before: Tip | None
    txids: set[Txid] = field(default_factory=set)
    projects: set[str] = field(default_factory=set)
    investments: set[Txid] = field(default_factory=set)
    shown_anew: set[str] = field(default_factory=set)  # projects of which only the outside changed
    coins: set[str] = field(default_factory=set)  # references of payments
    payouts: set[tuple[str, str]] = field(default_factory=set)  # store, id
    news: list[tuple[Change, Item | None]] = field(default_factory=list)

    def tell(self, change: Change, item: Item | None = None) -> None:
        """Note what happened; its item is rendered at the end when it is not given."""
        self.news.append((change, item))
