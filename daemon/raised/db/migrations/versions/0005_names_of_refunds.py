"""Names of pull payments that a person wrote are removed: they may name a payer.

Kept is `Refund <invoice id>`, which links a refund to its invoice.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REFUND_NAME = re.compile(r"Refund [1-9A-HJ-NP-Za-km-z]{18,22}")


def upgrade() -> None:
    conn = op.get_bind()
    if conn.dialect.name == "sqlite":
        # Else SQLite only unlinks what is overwritten, and the name stays in the file.
        conn.execute(sa.text("PRAGMA secure_delete = ON"))
    pull = sa.table("pull_payment", sa.column("store"), sa.column("id"), sa.column("name"))
    named = conn.execute(sa.select(pull).where(pull.c.name.is_not(None))).all()
    others = [row for row in named if not _REFUND_NAME.fullmatch(row.name)]
    if others:
        same = (pull.c.store == sa.bindparam("of")) & (pull.c.id == sa.bindparam("key"))
        statement = sa.update(pull).where(same).values(name=None)
        conn.execute(statement, [{"of": row.store, "key": row.id} for row in others])
