"""The tables. Amounts are BIGINT satoshis (movements: millisatoshis), times BIGINT unix seconds,
ids text as their own world writes them (hashes: 64 lower-case hex, display order). Never floats.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table(
    "meta",
    metadata,
    # network | first_sync_ended_at | complete (false, true) | gap (blocks were passed over)
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

counter = Table(
    "counter",  # the numbers given out: only the one writer does, so they grow in commit order
    metadata,
    Column("name", Text, primary_key=True),  # change | movement
    Column("value", BigInteger, nullable=False),  # the last one
)

daemon = Table(
    "daemon",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("version", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("progress", Text, nullable=False),  # JSON {what: [done, total]}
    Column("settings", Text, nullable=False),  # JSON: what the API must know of the configuration
)

event = Table(
    "event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pubkey", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("tags", Text, nullable=False),  # JSON
    Column("content", Text, nullable=False),  # empty for kind 4
    Column("sig", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Index(None, "pubkey", "kind"),
    Index(None, "kind", "created_at"),
)

event_relay = Table(
    "event_relay",
    metadata,
    Column("event_id", Text, ForeignKey("event.id", ondelete="CASCADE"), primary_key=True),
    Column("relay", Text, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
)

announcement = Table(
    "announcement",  # an event that says it is the project with this identifier
    metadata,
    Column("event_id", Text, ForeignKey("event.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", Text),  # null: it is named by a founding transaction and says nothing
    Column("pubkey", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("founder_key", Text),
    Column("reason", Text),  # why it cannot be; null: it can
    Index(None, "project_id"),
)

deletion = Table(
    "deletion",  # kind 5; `target` is an event id, or kind:pubkey:d
    metadata,
    Column("target", Text, primary_key=True),
    Column("pubkey", Text, primary_key=True),
    Column("until_at", BigInteger, nullable=False),  # the deletion's own claim
)

project = Table(
    "project",
    metadata,
    Column("id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("type", Text),  # invest | fund | subscribe
    Column("version", Integer),
    Column("name", Text),
    Column("about", Text),
    Column("picture", Text),
    Column("founder_key", Text),
    Column("nostr_pubkey", Text),
    Column("event_id", Text),  # the one whose terms hold: committed, else first announced
    Column("founding_txid", Text),
    Column("founded_height", BigInteger),
    Column("founded_hash", Text),
    Column("founded_at", BigInteger),
    Column("created_at", BigInteger),  # the event's claim
    Column("start_at", BigInteger),
    Column("end_at", BigInteger),
    Column("expiry_at", BigInteger),
    Column("penalty_days", Integer),
    Column("target_sats", BigInteger),
    Column("flags", Text, nullable=False),  # JSON list
    Column("candidates", Integer, nullable=False),
    Column("first_seen_at", BigInteger, nullable=False),
    Column("indexed_height", BigInteger),  # null: its address history was not read yet
    Column("reached_at", BigInteger),
    Column("next_stage_at", BigInteger),
    # Totals of the ledger, maintained in the writer's transaction; `db check` recomputes them.
    Column("raised_sats", BigInteger, nullable=False, server_default="0"),
    Column("claimed_sats", BigInteger, nullable=False, server_default="0"),
    Column("recovery_sats", BigInteger, nullable=False, server_default="0"),
    Column("penalty_released_sats", BigInteger, nullable=False, server_default="0"),
    Column("unfunded_release_sats", BigInteger, nullable=False, server_default="0"),
    Column("penalty_free_recovery_sats", BigInteger, nullable=False, server_default="0"),
    Column("end_of_project_sats", BigInteger, nullable=False, server_default="0"),
    Column("unknown_sats", BigInteger, nullable=False, server_default="0"),
    Column("unconfirmed_sats", BigInteger, nullable=False, server_default="0"),
    Column("investments", Integer, nullable=False, server_default="0"),
    Column("investors", Integer, nullable=False, server_default="0"),
    Column("rejected_investments", Integer, nullable=False, server_default="0"),
    Index(None, "status"),
    Index(None, "nostr_pubkey"),
    Index(None, "event_id"),
    Index(None, "created_at"),
    Index(None, "indexed_height"),
    Index(None, "next_stage_at"),
)

# Newest event wins per (pubkey, kind, d), then the lowest id: NIP-01's rule, applied by us.
project_profile = Table(
    "project_profile",
    metadata,
    Column("pubkey", Text, primary_key=True),
    Column("kind", Integer, primary_key=True),
    Column("d", Text, primary_key=True),  # empty where the kind has none
    Column("event_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("tags", Text, nullable=False),  # JSON
)

stage = Table(
    "stage",  # of type Invest: one calendar for everybody
    metadata,
    Column("project_id", Text, ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("percent", Text, nullable=False),  # decimal
    Column("release_at", BigInteger, nullable=False),
)

block = Table(
    "block",  # the best chain: its last `finality` blocks, and all that hold a fact of ours
    metadata,
    Column("hash", Text, primary_key=True),
    Column("height", BigInteger, nullable=False, unique=True),
    Column("prev_hash", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("median_time", BigInteger),
    Column("prior_median_time", BigInteger),
    Column("header", LargeBinary, nullable=False),
)

tx = Table(
    "tx",
    metadata,
    Column("txid", Text, primary_key=True),
    Column("raw", LargeBinary, nullable=False),
    Column("height", BigInteger),  # null: not in the best chain
    Column("block_hash", Text),
    Column("position", Integer),
    Column("at", BigInteger),  # block time
    Column("siblings", Text),  # JSON list: the merkle branch
    Column("proven", Text),
    Column("first_seen_at", BigInteger, nullable=False),
    Column("gone_at", BigInteger),  # was unconfirmed, now replaced or nowhere
    Index(None, "height", "position"),
)

tx_input = Table(
    "tx_input",  # of every transaction we hold: who spends what, and where money comes from
    metadata,
    Column("txid", Text, ForeignKey("tx.txid", ondelete="CASCADE"), primary_key=True),
    Column("vin", Integer, primary_key=True),
    Column("prev_txid", Text, nullable=False),
    Column("prev_vout", BigInteger, nullable=False),
    Index(None, "prev_txid", "prev_vout"),
)

tx_project = Table(
    "tx_project",  # pays the project's address
    metadata,
    Column("txid", Text, ForeignKey("tx.txid", ondelete="CASCADE"), primary_key=True),
    Column("project_id", Text, ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "project_id"),
)

founding = Table(
    "founding",  # passes the founding test; which one decides is the project's matter
    metadata,
    Column("txid", Text, ForeignKey("tx.txid", ondelete="CASCADE"), primary_key=True),
    Column("project_id", Text, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("founder_key", Text, nullable=False),
    Column("event_id", Text),
    Column("nostr_pubkey", Text),  # legacy layout
    Column("rule", Text, nullable=False),
    Index(None, "project_id"),
    Index(None, "event_id"),
)

# An outpoint to watch, by structure alone: a taproot output after the second of a transaction that
# pays a project and names a key, or a P2WSH beside a spend of such a one. What it means is up to
# the rules and may change with the project's event; that somebody spent it never does.
coin = Table(
    "coin",
    metadata,
    Column("txid", Text, ForeignKey("tx.txid", ondelete="CASCADE"), primary_key=True),
    Column("vout", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("investment_txid", Text, nullable=False),
    Column("value_sats", BigInteger, nullable=False),
    Column("script_pubkey", LargeBinary, nullable=False),
    Index(None, "project_id"),
    Index(None, "investment_txid"),
)

investment = Table(
    "investment",
    metadata,
    Column("txid", Text, ForeignKey("tx.txid", ondelete="CASCADE"), primary_key=True),
    Column("project_id", Text, ForeignKey("project.id", ondelete="CASCADE"), nullable=False),
    Column("status", Text, nullable=False),  # unconfirmed confirmed dropped unverified rejected
    Column("reason", Text),
    Column("flags", Text, nullable=False),  # JSON list
    Column("investor_key", Text),
    Column("seeder", Boolean, nullable=False),
    Column("amount_sats", BigInteger, nullable=False),
    Column("fee_sats", BigInteger, nullable=False),
    Column("height", BigInteger),
    Column("block_hash", Text),
    Column("at", BigInteger, nullable=False),  # block time, else first seen
    Column("returned_sats", BigInteger, nullable=False, server_default="0"),  # booked
    Index(None, "project_id", "status"),
    Index(None, "project_id", "investor_key"),
    Index(None, "project_id", "at"),
    Index(None, "status", "investor_key"),
    Index(None, "status", "at"),
    Index(None, "status", "amount_sats"),
    Index(None, "at"),
)

stage_output = Table(
    "stage_output",
    metadata,
    Column("txid", Text, ForeignKey("investment.txid", ondelete="CASCADE"), primary_key=True),
    Column("vout", Integer, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("index", Integer, nullable=False),
    Column("value_sats", BigInteger, nullable=False),
    Column("release_at", BigInteger, nullable=False),
    Column("expiry_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("spent_txid", Text),
    Column("spent_vin", Integer),
    Column("spent_height", BigInteger),
    Column("spent_at", BigInteger),
    Index(None, "project_id", "release_at"),
    Index(None, "spent_txid"),
)

penalty_output = Table(
    "penalty_output",
    metadata,
    Column("txid", Text, ForeignKey("tx.txid", ondelete="CASCADE"), primary_key=True),
    Column("vout", Integer, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("investment_txid", Text, nullable=False),
    Column("stage_vout", Integer, nullable=False),
    Column("value_sats", BigInteger, nullable=False),  # of the stage output that went in
    Column("state", Text, nullable=False),  # in_penalty penalty_matured penalty_released
    Column("matures_at", BigInteger),  # median time past; null while unconfirmed
    Column("released_txid", Text),
    Column("released_height", BigInteger),
    Column("released_at", BigInteger),
    Index(None, "investment_txid"),
    Index(None, "state", "matures_at"),
    Index(None, "released_txid"),
)

movement = Table(
    "movement",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # see counter
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reverses", BigInteger, ForeignKey("movement.id")),
    Column("reversed_by", BigInteger),  # the one column that is ever set later
    Column("amount_msats", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("height", BigInteger),
    Column("block_hash", Text),
    Column("source", Text, nullable=False),  # angor | btcpay
    Column("project_id", Text),
    Column("store", Text),
    Column("party", Text),  # investor key
    Column("reference", Text, nullable=False),  # txid:vout, payment hash, payout id
    Column("txid", Text),  # that caused it
    Column("investment_txid", Text),
    Column("invoice_id", Text),
    Index(None, "investment_txid"),
    Index(None, "store", "invoice_id"),
    Index(None, "reference"),
    Index(None, "project_id", "id"),
    Index(None, "at", "id"),
    Index(None, "height"),
    Index(None, "seq"),
)

hour_total = Table(
    "hour_total",  # always equals the sum of movements; a reversal takes back where the row stood
    metadata,
    Column("hour", BigInteger, primary_key=True),  # unix seconds of its start
    Column("source", Text, primary_key=True),
    Column("owner", Text, primary_key=True),  # project id, or the campaign of the invoice
    Column("kind", Text, primary_key=True),
    Column("amount_msats", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Index(None, "owner", "hour"),
)

campaign = Table(
    "campaign",  # as configured; what none names is a campaign of its own
    metadata,
    Column("slug", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("target_sats", BigInteger),
    Column("rules", Text, nullable=False),  # JSON list of store rules
)

campaign_project = Table(
    "campaign_project",
    metadata,
    Column("project_id", Text, primary_key=True),  # perhaps not known yet
    Column("slug", Text, ForeignKey("campaign.slug", ondelete="CASCADE"), nullable=False),
    Index(None, "slug"),
)

invoice = Table(
    "invoice",
    metadata,
    Column("store", Text, primary_key=True),  # label
    Column("id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("additional_status", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Text, nullable=False),  # decimal
    Column("paid_amount", Text),  # decimal
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("monitored_until", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    Column("settled_at_approximate", Boolean, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("missing_upstream", Boolean, nullable=False),
    Column("metadata", Text, nullable=False),  # JSON object of text: only what the settings name
    Column("apps", Text, nullable=False),  # JSON list: crowdfund apps that made it
    Column("asked_at", BigInteger, nullable=False),  # the request behind what is held
    Column("seen_at", BigInteger, nullable=False),  # last shown by the server
    Column("first_seen_at", BigInteger, nullable=False),
    Column("campaign", Text, nullable=False),  # looked up: a slug, else the label
    Column("ambiguous", Boolean, nullable=False),  # two campaigns claim it
    # Follow the ledger and the coins; `db check` recomputes them.
    Column("counted_msats", BigInteger, nullable=False),  # booked payments
    Column("pending_msats", BigInteger, nullable=False),  # payments that may be booked yet
    Column("first_counted_at", BigInteger),
    Index(None, "campaign", "status"),
    Index(None, "store", "status"),
    Index(None, "store", "created_at"),
    Index(None, "store", "seen_at"),
    Index(None, "created_at", "id"),
    Index(None, "campaign", "counted_msats"),
    Index(None, "counted_msats"),
    Index(None, "first_counted_at"),
    Index(None, "pending_msats"),
    Index(None, "status", "additional_status"),
    Index(None, "ambiguous", "store"),
)

invoice_payment = Table(
    "invoice_payment",
    metadata,
    Column("store", Text, primary_key=True),
    Column("invoice_id", Text, primary_key=True),
    Column("method", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # txid:vout, payment hash
    Column("currency", Text, nullable=False),
    Column("value", Text, nullable=False),  # decimal, in `currency`
    Column("value_msats", BigInteger),  # null: not paid by a method of bitcoin
    Column("status", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("rate", Text),  # decimal: price of one `currency` in the invoice's
    Column("settled_at", BigInteger),
    Column("first_seen_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index(None, "id"),
    Index(None, "store", "status"),
    Index(None, "value_msats", "status"),
)

pull_payment = Table(
    "pull_payment",  # an offer to take money back, and whose it is
    metadata,
    Column("store", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text),  # `Refund <invoice id>`, never a person's words; null: not named so
    Column("invoice_id", Text),  # proven: a signed event, or the server's own name for it
    Index(None, "store", "name"),
    Index(None, "store", "invoice_id"),
)

payout = Table(
    "payout",
    metadata,
    Column("store", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("pull_payment_id", Text),
    Column("state", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Text),  # decimal
    Column("value_msats", BigInteger),
    Column("at", BigInteger, nullable=False),
    Column("txid", Text),
    Column("first_seen_at", BigInteger, nullable=False),
    Index(None, "store", "pull_payment_id"),
    Index(None, "id"),
)

delivery = Table(
    "delivery",  # the inbox: the API adds, the daemon acts. Never the body: it names buyers
    metadata,
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("store", Text, nullable=False),
    Column("webhook_id", Text, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("original_delivery_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("invoice_id", Text),
    Column("pull_payment_id", Text),
    Column("redelivery", Boolean, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("processed_at", BigInteger),
    Column("result", Text),
    UniqueConstraint("webhook_id", "delivery_id"),
    Index(None, "store", "processed_at"),
    Index(None, "store", "invoice_id", "received_at"),
    Index(None, "received_at"),
)

refused_delivery = Table(
    "refused_delivery",  # counters only: an open door must not fill the disk
    metadata,
    Column("store", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
)

expected_delivery = Table(
    "expected_delivery",  # a pull found first what an event should tell; overdue, it is a miss
    metadata,
    Column("store", Text, primary_key=True),
    Column("invoice_id", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("since_at", BigInteger, nullable=False),  # an event received from here on tells it
    Column("due_at", BigInteger, nullable=False),
    Index(None, "due_at"),
)

refresh = Table(
    "refresh",  # the API asks, the daemon pulls; one row
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("requested_at", BigInteger, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),  # SHA-256 of the whole key, hex
    Column("scopes", Text, nullable=False),  # JSON list
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),  # to the minute, roughly
)

change = Table(
    "change",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # see counter
    Column("type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),  # angor | btcpay | chain | relay | explorer
    Column("campaign", Text),
    Column("project_id", Text),
    Column("reference", Text),
    Column("data", Text, nullable=False),  # JSON: the item as its route showed it then
    Index(None, "project_id", "seq"),
    Index(None, "type", "seq"),
    Index(None, "at"),
)


def _health_columns() -> list[Column[object]]:
    return [
        Column("name", Text, primary_key=True),
        Column("state", Text, nullable=False),
        Column("since_at", BigInteger, nullable=False),
        Column("seen_at", BigInteger, nullable=False),
        Column("last_success_at", BigInteger),
        Column("last_error_code", Text),
        Column("last_error_detail", Text),
        Column("latency_ms", Integer),
        Column("errors", Text, nullable=False),  # JSON {kind: count}
        Column("facts", Text, nullable=False),  # JSON: what only this kind of source has
    ]


relay = Table("relay", metadata, *_health_columns())
explorer = Table("explorer", metadata, *_health_columns())
store = Table(
    "store",
    metadata,
    *_health_columns(),
    Column("misses", BigInteger, nullable=False, server_default="0"),
    Column("last_miss_at", BigInteger),
)

problem = Table(
    "problem",
    metadata,
    Column("kind", Text, primary_key=True),  # relay | explorer | store | chain | relays
    Column("name", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("subject", Text, primary_key=True),  # id of the item, empty for the whole source
    Column("detail", Text, nullable=False),
    Column("state", Text, nullable=False),  # how bad it makes the source; ok: a warning
    Column("is_private", Boolean, nullable=False),  # the subject leads to a payer
    Column("since_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("tries", BigInteger, nullable=False),
)

cursor = Table(
    "cursor",
    metadata,
    # relay | relay:wanted | mempool | store | store:full (until it has ended) | store:read |
    # store:events (expected since)
    Column("source", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("full_at", BigInteger),  # the last complete re-ask began then
)
