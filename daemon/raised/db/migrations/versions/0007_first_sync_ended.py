"""A record that earlier versions served has had its first sync, and does not begin it again."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "INSERT INTO meta (key, value) SELECT 'first_sync_ended_at', CAST(started_at AS TEXT) "
        "FROM daemon WHERE EXISTS (SELECT 1 FROM block) "
        "AND EXISTS (SELECT 1 FROM cursor WHERE source = 'relay')"
    )
    # The daemon looks at every source when it starts, and takes this back where one is unread.
    op.execute(
        "INSERT INTO meta (key, value) SELECT 'complete', 'true' FROM meta "
        "WHERE key = 'first_sync_ended_at'"
    )
    op.execute(
        "INSERT INTO cursor (source, name, value) SELECT 'store:read', name, value FROM cursor "
        "WHERE source = 'store' AND full_at IS NOT NULL"
    )
