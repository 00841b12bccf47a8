"""Payments that are not bitcoin are found by their missing value, whatever their currency says."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index(op.f("ix_invoice_payment_currency_status"), "invoice_payment")
    op.create_index(
        op.f("ix_invoice_payment_value_msats_status"), "invoice_payment", ["value_msats", "status"]
    )
