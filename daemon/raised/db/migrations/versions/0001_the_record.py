"""The record's first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "block",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("median_time", sa.BigInteger(), nullable=True),
        sa.Column("prior_median_time", sa.BigInteger(), nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_block")),
        sa.UniqueConstraint("height", name=op.f("uq_block_height")),
    )
    op.create_table(
        "change",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_change")),
    )
    op.create_index(op.f("ix_change_at"), "change", ["at"], unique=False)
    op.create_index(op.f("ix_change_project_id_seq"), "change", ["project_id", "seq"], unique=False)
    op.create_index(op.f("ix_change_type_seq"), "change", ["type", "seq"], unique=False)
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
    )
    op.create_table(
        "cursor",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("source", "name", name=op.f("pk_cursor")),
    )
    op.create_table(
        "daemon",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_daemon")),
    )
    op.create_table(
        "deletion",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("pubkey", sa.Text(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target", "pubkey", name=op.f("pk_deletion")),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pubkey", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("sig", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_kind_created_at"), "event", ["kind", "created_at"], unique=False)
    op.create_index(op.f("ix_event_pubkey_kind"), "event", ["pubkey", "kind"], unique=False)
    op.create_table(
        "explorer",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("last_success_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error_code", sa.Text(), nullable=True),
        sa.Column("last_error_detail", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("errors", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_explorer")),
    )
    op.create_table(
        "hour_total",
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_msats", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "source", "owner", "kind", name=op.f("pk_hour_total")),
    )
    op.create_index(op.f("ix_hour_total_owner_hour"), "hour_total", ["owner", "hour"], unique=False)
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "movement",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reverses", sa.BigInteger(), nullable=True),
        sa.Column("reversed_by", sa.BigInteger(), nullable=True),
        sa.Column("amount_msats", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("store", sa.Text(), nullable=True),
        sa.Column("party", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("txid", sa.Text(), nullable=True),
        sa.Column("investment_txid", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["reverses"], ["movement.id"], name=op.f("fk_movement_reverses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_movement")),
    )
    op.create_index(op.f("ix_movement_at_id"), "movement", ["at", "id"], unique=False)
    op.create_index(op.f("ix_movement_height"), "movement", ["height"], unique=False)
    op.create_index(
        op.f("ix_movement_investment_txid"), "movement", ["investment_txid"], unique=False
    )
    op.create_index(
        op.f("ix_movement_project_id_id"), "movement", ["project_id", "id"], unique=False
    )
    op.create_index(op.f("ix_movement_seq"), "movement", ["seq"], unique=False)
    op.create_table(
        "project",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("about", sa.Text(), nullable=True),
        sa.Column("picture", sa.Text(), nullable=True),
        sa.Column("founder_key", sa.Text(), nullable=True),
        sa.Column("nostr_pubkey", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("founding_txid", sa.Text(), nullable=True),
        sa.Column("founded_height", sa.BigInteger(), nullable=True),
        sa.Column("founded_hash", sa.Text(), nullable=True),
        sa.Column("founded_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=True),
        sa.Column("start_at", sa.BigInteger(), nullable=True),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.Column("expiry_at", sa.BigInteger(), nullable=True),
        sa.Column("penalty_days", sa.Integer(), nullable=True),
        sa.Column("target_sats", sa.BigInteger(), nullable=True),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("candidates", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("indexed_height", sa.BigInteger(), nullable=True),
        sa.Column("reached_at", sa.BigInteger(), nullable=True),
        sa.Column("next_stage_at", sa.BigInteger(), nullable=True),
        sa.Column("raised_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claimed_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("recovery_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("penalty_released_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unfunded_release_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "penalty_free_recovery_sats", sa.BigInteger(), server_default="0", nullable=False
        ),
        sa.Column("end_of_project_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unconfirmed_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("investments", sa.Integer(), server_default="0", nullable=False),
        sa.Column("investors", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejected_investments", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
    )
    op.create_index(op.f("ix_project_created_at"), "project", ["created_at"], unique=False)
    op.create_index(op.f("ix_project_event_id"), "project", ["event_id"], unique=False)
    op.create_index(op.f("ix_project_indexed_height"), "project", ["indexed_height"], unique=False)
    op.create_index(op.f("ix_project_next_stage_at"), "project", ["next_stage_at"], unique=False)
    op.create_index(op.f("ix_project_nostr_pubkey"), "project", ["nostr_pubkey"], unique=False)
    op.create_index(op.f("ix_project_status"), "project", ["status"], unique=False)
    op.create_table(
        "project_profile",
        sa.Column("pubkey", sa.Text(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("d", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pubkey", "kind", "d", name=op.f("pk_project_profile")),
    )
    op.create_table(
        "relay",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("last_success_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error_code", sa.Text(), nullable=True),
        sa.Column("last_error_detail", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("errors", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_relay")),
    )
    op.create_table(
        "tx",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("siblings", sa.Text(), nullable=True),
        sa.Column("proven", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("txid", name=op.f("pk_tx")),
    )
    op.create_index(op.f("ix_tx_height_position"), "tx", ["height", "position"], unique=False)
    op.create_table(
        "announcement",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("pubkey", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("founder_key", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_announcement_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_announcement")),
    )
    op.create_index(
        op.f("ix_announcement_project_id"), "announcement", ["project_id"], unique=False
    )
    op.create_table(
        "coin",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("vout", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("investment_txid", sa.Text(), nullable=False),
        sa.Column("value_sats", sa.BigInteger(), nullable=False),
        sa.Column("script_pubkey", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_coin_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["txid"], ["tx.txid"], name=op.f("fk_coin_txid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("txid", "vout", name=op.f("pk_coin")),
    )
    op.create_index(op.f("ix_coin_investment_txid"), "coin", ["investment_txid"], unique=False)
    op.create_index(op.f("ix_coin_project_id"), "coin", ["project_id"], unique=False)
    op.create_table(
        "event_relay",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_event_relay_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "relay", name=op.f("pk_event_relay")),
    )
    op.create_table(
        "founding",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("founder_key", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("nostr_pubkey", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_founding_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["txid"], ["tx.txid"], name=op.f("fk_founding_txid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("txid", name=op.f("pk_founding")),
    )
    op.create_index(op.f("ix_founding_event_id"), "founding", ["event_id"], unique=False)
    op.create_index(op.f("ix_founding_project_id"), "founding", ["project_id"], unique=False)
    op.create_table(
        "investment",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("investor_key", sa.Text(), nullable=True),
        sa.Column("seeder", sa.Boolean(), nullable=False),
        sa.Column("amount_sats", sa.BigInteger(), nullable=False),
        sa.Column("fee_sats", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("block_hash", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("returned_sats", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["project.id"],
            name=op.f("fk_investment_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["txid"], ["tx.txid"], name=op.f("fk_investment_txid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("txid", name=op.f("pk_investment")),
    )
    op.create_index(op.f("ix_investment_at"), "investment", ["at"], unique=False)
    op.create_index(
        op.f("ix_investment_project_id_at"), "investment", ["project_id", "at"], unique=False
    )
    op.create_index(
        op.f("ix_investment_project_id_investor_key"),
        "investment",
        ["project_id", "investor_key"],
        unique=False,
    )
    op.create_index(
        op.f("ix_investment_project_id_status"),
        "investment",
        ["project_id", "status"],
        unique=False,
    )
    op.create_index(
        op.f("ix_investment_status_amount_sats"),
        "investment",
        ["status", "amount_sats"],
        unique=False,
    )
    op.create_index(op.f("ix_investment_status_at"), "investment", ["status", "at"], unique=False)
    op.create_index(
        op.f("ix_investment_status_investor_key"),
        "investment",
        ["status", "investor_key"],
        unique=False,
    )
    op.create_table(
        "penalty_output",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("vout", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("investment_txid", sa.Text(), nullable=False),
        sa.Column("stage_vout", sa.Integer(), nullable=False),
        sa.Column("value_sats", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("matures_at", sa.BigInteger(), nullable=True),
        sa.Column("released_txid", sa.Text(), nullable=True),
        sa.Column("released_height", sa.BigInteger(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["txid"], ["tx.txid"], name=op.f("fk_penalty_output_txid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("txid", "vout", name=op.f("pk_penalty_output")),
    )
    op.create_index(
        op.f("ix_penalty_output_investment_txid"),
        "penalty_output",
        ["investment_txid"],
        unique=False,
    )
    op.create_index(
        op.f("ix_penalty_output_released_txid"), "penalty_output", ["released_txid"], unique=False
    )
    op.create_index(
        op.f("ix_penalty_output_state_matures_at"),
        "penalty_output",
        ["state", "matures_at"],
        unique=False,
    )
    op.create_table(
        "stage",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Text(), nullable=False),
        sa.Column("release_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["project.id"], name=op.f("fk_stage_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "index", name=op.f("pk_stage")),
    )
    op.create_table(
        "tx_input",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("vin", sa.Integer(), nullable=False),
        sa.Column("prev_txid", sa.Text(), nullable=False),
        sa.Column("prev_vout", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["txid"], ["tx.txid"], name=op.f("fk_tx_input_txid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("txid", "vin", name=op.f("pk_tx_input")),
    )
    op.create_index(
        op.f("ix_tx_input_prev_txid_prev_vout"),
        "tx_input",
        ["prev_txid", "prev_vout"],
        unique=False,
    )
    op.create_table(
        "tx_project",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["project.id"],
            name=op.f("fk_tx_project_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["txid"], ["tx.txid"], name=op.f("fk_tx_project_txid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("txid", "project_id", name=op.f("pk_tx_project")),
    )
    op.create_index(op.f("ix_tx_project_project_id"), "tx_project", ["project_id"], unique=False)
    op.create_table(
        "stage_output",
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("vout", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("value_sats", sa.BigInteger(), nullable=False),
        sa.Column("release_at", sa.BigInteger(), nullable=False),
        sa.Column("expiry_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("spent_txid", sa.Text(), nullable=True),
        sa.Column("spent_vin", sa.Integer(), nullable=True),
        sa.Column("spent_height", sa.BigInteger(), nullable=True),
        sa.Column("spent_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["txid"], ["investment.txid"], name=op.f("fk_stage_output_txid"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("txid", "vout", name=op.f("pk_stage_output")),
    )
    op.create_index(
        op.f("ix_stage_output_project_id_release_at"),
        "stage_output",
        ["project_id", "release_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_stage_output_spent_txid"), "stage_output", ["spent_txid"], unique=False
    )
