"""Observations, the only input of the record: what the sources saw, and what the daemon decided.

An observation is checked as far as it can be without the record (ids, signatures, hashes, proofs)
before it is made. The writer commits each in one transaction; the same one twice is harmless.
Times are unix seconds by our own clock unless said otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from raised.domain.bitcoin.tx import Tx, Txid
from raised.domain.btcpay.invoice import Invoice, Payout, PullPayment
from raised.domain.campaign import Campaign
from raised.domain.event import Event

SourceKind = Literal["relay", "explorer", "store"]
State = Literal["ok", "degraded", "down"]
# All explorers together, or all relays: what is wrong with none of them alone.
SourceGroup = Literal["chain", "relays"]
Sweep = Literal["active", "recent", "late", "full"]
MORE_PROBLEMS: Final = "more_problems"  # counts those of a source that are not listed
Fact = str | int | bool | None | Mapping[str, int] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventsSeen:
    """A page or batch of one relay: authentic events, and ids it holds that we knew already."""

    relay: str
    at: int
    events: tuple[Event, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackfillDone:
    """A relay gave everything it holds that is no older than its last cursor (or all, `full`).
    `began_at` becomes the relay's cursor: our clock when this back-fill began.
    """

    relay: str
    at: int
    began_at: int
    full: bool


@dataclass(frozen=True, slots=True)
class WantedAsked:
    """A relay was asked for all that the record wanted: named events, and events of public keys.

    `events`: `wanted.digest_of_events`. `after_first_read`: every source had been read once before.
    """

    relay: str
    at: int
    events: int
    after_first_read: bool


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block on the best chain.

    `median_time` and `prior_median_time` are the median time past after and before it, None where
    the headers around it were not seen.
    """

    height: int
    hash: str
    prev_hash: str
    time: int
    header: bytes
    median_time: int | None = None
    prior_median_time: int | None = None


@dataclass(frozen=True, slots=True)
class PlacedTx:
    """A transaction in a block. `siblings`: its merkle branch, display order, from the leaf up.

    `proven`: "block" (raw block checked, witnesses included), "spv" (merkle proof; spends among
    them had their signatures checked) or "trust".
    """

    tx: Tx
    position: int
    siblings: tuple[str, ...] | None
    proven: Literal["block", "spv", "agree", "trust"]


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """The next block on top of the record's tip, with the transactions in it that concern us."""

    block: BlockRef
    txs: tuple[PlacedTx, ...]
    explorer: str
    at: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The blocks above `to` left the best chain; `tip` is what the explorer shows now."""

    to: BlockRef
    tip: BlockRef
    explorer: str
    at: int


@dataclass(frozen=True, slots=True)
class HistorySeen:
    """Everything confirmed that concerns one project, up to and including block `tip`.

    Also stands for the gap that was not followed block by block. With `tip` the record jumps there
    when it has no newer one. What is not `whole` is less than the explorer itself counts: it is
    stored, and the history stays to be read.
    """

    project_id: str
    txs: tuple[tuple[BlockRef, PlacedTx], ...]
    tip: BlockRef
    explorer: str
    at: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class TipSeen:
    """The tip of the best chain, of which not every block before was read.

    With `gap` the record went further once: what the blocks between held must be learnt anew from
    the history of every project. `below`: blocks that lead up to it, lowest first, so that there is
    something to go back to after a reorg.
    """

    block: BlockRef
    explorer: str
    at: int
    gap: bool = False
    below: tuple[BlockRef, ...] = ()


@dataclass(frozen=True, slots=True)
class MempoolSeen:
    """All unconfirmed transactions that concern these projects, as one explorer showed them.

    `gone` names transactions that were unconfirmed before and are nowhere any more. `whole_at`: the
    newest time of which every waiting transaction has been looked at, those that spend stages too;
    None when there was none.
    """

    project_ids: tuple[str, ...]
    txs: tuple[Tx, ...]
    gone: tuple[Txid, ...]
    explorer: str
    at: int
    whole_at: int | None = None


@dataclass(frozen=True, slots=True)
class InvoicesSeen:
    """Invoices of one store as the answer to a request showed them.

    `asked_at` is when the first of the requests behind it was sent. `origin`: a webhook's delivery
    or a sweep; what a sweep finds first, a webhook should have reported
    (docs/btcpay.md 12.5). `apps`: which of the store's crowdfund apps that the configuration names
    made an invoice, where known.
    """

    store: str
    at: int
    asked_at: int
    origin: Literal["delivery"] | Sweep
    invoices: tuple[Invoice, ...]
    apps: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])


@dataclass(frozen=True, slots=True)
class InvoicesGone:
    """The server does not know these invoices any more; what they brought stays counted."""

    store: str
    at: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SweepReached:
    """A full sweep that began at `began_at` has seen everything created from `end` on."""

    store: str
    at: int
    began_at: int
    end: int


@dataclass(frozen=True, slots=True)
class SweepDone:
    """A sweep has ended that saw every invoice created from `since` on, up to `began_at`.

    After a full one what it did not show is missing upstream.
    """

    store: str
    at: int
    sweep: Sweep
    began_at: int
    since: int


@dataclass(frozen=True, slots=True)
class StoreRead:
    """All invoices and all refunds of a store have been read once, and were reported before."""

    store: str
    at: int


@dataclass(frozen=True, slots=True)
class RefundsSeen:
    """All pull payments and payouts of a store."""

    store: str
    at: int
    pull_payments: tuple[PullPayment, ...]
    payouts: tuple[Payout, ...]


@dataclass(frozen=True, slots=True)
class DeliveriesDone:
    """Deliveries of the inbox, by its row numbers, that were acted on, each with its result.

    `refunds`: invoice id by pull payment id, as signed events said.
    """

    store: str
    at: int
    results: Mapping[int, str]
    refunds: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """A daemon of this version writes to the record from now on."""

    at: int
    version: str


@dataclass(frozen=True, slots=True)
class ConfiguredStore:
    """A store that is followed. `kept_metadata`: the keys of invoices' metadata that are stored,
    of which the API shows `metadata_keys`; the rest only decides to which campaign they belong.
    `bitcoin_methods`: payment methods that count beside those that are known.
    """

    label: str
    url: str
    store_id: str
    metadata_keys: tuple[str, ...]
    kept_metadata: tuple[str, ...]
    crowdfund_apps: tuple[str, ...]
    bitcoin_methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourcesConfigured:
    """Which sources are followed from now on, and how deep a block must be buried to count.

    The API knows the configuration from this alone.
    """

    at: int
    network: str
    confirmations: int
    relays: tuple[str, ...]
    explorers: tuple[str, ...]
    stores: tuple[ConfiguredStore, ...]


@dataclass(frozen=True, slots=True)
class CampaignsConfigured:
    """The campaigns from now on: the past is regrouped, too.

    `stores`: the labels that are followed, each with whether it is expected to send webhooks.
    """

    at: int
    campaigns: tuple[Campaign, ...]
    stores: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """What is wrong with a source, or with an item of it that is set aside.

    `subject` is the id of the item (a project, an event, an invoice, a route), empty when it is the
    whole source; `detail` is a sentence of ours that does not name it. `is_private`: the subject
    leads to a payer. `state`: how bad the problem makes the source, "ok" for a warning. `tries`:
    how often it was met since `since_at`, the last time at `last_at`.
    """

    code: str
    detail: str
    state: State
    since_at: int
    last_at: int
    subject: str = ""
    is_private: bool = False
    tries: int = 1


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The health of a source. `last_error`: a code and a sentence of ours, never the source's text.

    `errors` counts by kind since the process started; `facts` holds what only this kind of source
    has; `problems` are all that stand.
    """

    kind: SourceKind
    name: str
    state: State
    at: int
    last_success_at: int | None = None
    last_error: tuple[str, str] | None = None
    latency_ms: int | None = None
    errors: Mapping[str, int] = field(default_factory=dict[str, int])
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    problems: tuple[SourceProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupProblems:
    """All problems of a group of sources together, such as a history that no explorer gives."""

    group: SourceGroup
    problems: tuple[SourceProblem, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is; done == total ends it."""

    what: str
    done: int
    total: int
    at: int


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """The daemon is alive."""

    at: int


@dataclass(frozen=True, slots=True)
class RetentionDue:
    """It is time to apply the retention limits.

    Changes from before `changes_before` go, deliveries that were acted on and received before
    `deliveries_before`, and of the projects that are only announced all but the `announced_max`
    that were seen last.
    """

    at: int
    changes_before: int
    deliveries_before: int
    announced_max: int


Observation = (
    EventsSeen
    | BackfillDone
    | WantedAsked
    | BlockSeen
    | RolledBack
    | HistorySeen
    | TipSeen
    | MempoolSeen
    | InvoicesSeen
    | InvoicesGone
    | SweepReached
    | SweepDone
    | StoreRead
    | RefundsSeen
    | DeliveriesDone
    | DaemonStarted
    | SourcesConfigured
    | CampaignsConfigured
    | RetentionDue
    | SourceHealth
    | GroupProblems
    | Progress
    | ClockTicked
)
