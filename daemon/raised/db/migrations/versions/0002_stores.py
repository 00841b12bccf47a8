"""Stores, campaigns and keys: invoices with their payments, refunds, the inbox of deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_key_hash")),
    )
    op.create_table(
        "campaign",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("target_sats", sa.BigInteger(), nullable=True),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_campaign")),
    )
    op.create_table(
        "delivery",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("original_delivery_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=True),
        sa.Column("pull_payment_id", sa.Text(), nullable=True),
        sa.Column("redelivery", sa.Boolean(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("processed_at", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "webhook_id", "delivery_id", name=op.f("uq_delivery_webhook_id_delivery_id")
        ),
    )
    op.create_index(op.f("ix_delivery_received_at"), "delivery", ["received_at"], unique=False)
    op.create_index(
        op.f("ix_delivery_store_invoice_id_received_at"),
        "delivery",
        ["store", "invoice_id", "received_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_delivery_store_processed_at"), "delivery", ["store", "processed_at"], unique=False
    )
    op.create_table(
        "expected_delivery",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "invoice_id", "type", name=op.f("pk_expected_delivery")),
    )
    op.create_index(
        op.f("ix_expected_delivery_due_at"), "expected_delivery", ["due_at"], unique=False
    )
    op.create_table(
        "invoice",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("additional_status", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("paid_amount", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("monitored_until", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_at_approximate", sa.Boolean(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("missing_upstream", sa.Boolean(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("apps", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("ambiguous", sa.Boolean(), nullable=False),
        sa.Column("counted_msats", sa.BigInteger(), nullable=False),
        sa.Column("pending_msats", sa.BigInteger(), nullable=False),
        sa.Column("first_counted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("store", "id", name=op.f("pk_invoice")),
    )
    op.create_index(
        op.f("ix_invoice_ambiguous_store"), "invoice", ["ambiguous", "store"], unique=False
    )
    op.create_index(
        op.f("ix_invoice_campaign_counted_msats"),
        "invoice",
        ["campaign", "counted_msats"],
        unique=False,
    )
    op.create_index(
        op.f("ix_invoice_campaign_status"), "invoice", ["campaign", "status"], unique=False
    )
    op.create_index(op.f("ix_invoice_counted_msats"), "invoice", ["counted_msats"], unique=False)
    op.create_index(op.f("ix_invoice_created_at_id"), "invoice", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_invoice_first_counted_at"), "invoice", ["first_counted_at"], unique=False
    )
    op.create_index(op.f("ix_invoice_pending_msats"), "invoice", ["pending_msats"], unique=False)
    op.create_index(
        op.f("ix_invoice_status_additional_status"),
        "invoice",
        ["status", "additional_status"],
        unique=False,
    )
    op.create_index(
        op.f("ix_invoice_store_created_at"), "invoice", ["store", "created_at"], unique=False
    )
    op.create_index(op.f("ix_invoice_store_seen_at"), "invoice", ["store", "seen_at"], unique=False)
    op.create_index(op.f("ix_invoice_store_status"), "invoice", ["store", "status"], unique=False)
    op.create_table(
        "invoice_payment",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("value_msats", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "store", "invoice_id", "method", "id", name=op.f("pk_invoice_payment")
        ),
    )
    op.create_index(
        op.f("ix_invoice_payment_currency_status"),
        "invoice_payment",
        ["currency", "status"],
        unique=False,
    )
    op.create_index(op.f("ix_invoice_payment_id"), "invoice_payment", ["id"], unique=False)
    op.create_index(
        op.f("ix_invoice_payment_store_status"),
        "invoice_payment",
        ["store", "status"],
        unique=False,
    )
    op.create_table(
        "payout",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pull_payment_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=True),
        sa.Column("value_msats", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("txid", sa.Text(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "id", name=op.f("pk_payout")),
    )
    op.create_index(
        op.f("ix_payout_store_pull_payment_id"),
        "payout",
        ["store", "pull_payment_id"],
        unique=False,
    )
    op.create_index(op.f("ix_payout_id"), "payout", ["id"], unique=False)
    op.create_table(
        "pull_payment",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("invoice_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("store", "id", name=op.f("pk_pull_payment")),
    )
    op.create_index(
        op.f("ix_pull_payment_store_name"), "pull_payment", ["store", "name"], unique=False
    )
    op.create_index(
        op.f("ix_pull_payment_store_invoice_id"),
        "pull_payment",
        ["store", "invoice_id"],
        unique=False,
    )
    op.create_table(
        "refresh",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh")),
    )
    op.create_table(
        "refused_delivery",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "reason", name=op.f("pk_refused_delivery")),
    )
    op.create_table(
        "store",
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
        sa.Column("misses", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_miss_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_store")),
    )
    op.create_table(
        "campaign_project",
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["slug"], ["campaign.slug"], name=op.f("fk_campaign_project_slug"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_campaign_project")),
    )
    op.create_index(op.f("ix_campaign_project_slug"), "campaign_project", ["slug"], unique=False)
    op.add_column("movement", sa.Column("invoice_id", sa.Text(), nullable=True))
    op.create_index(op.f("ix_movement_reference"), "movement", ["reference"], unique=False)
    op.create_index(
        op.f("ix_movement_store_invoice_id"), "movement", ["store", "invoice_id"], unique=False
    )
