"""The history of predictions is kept for a while only: who writes it may forget it."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("GRANT DELETE ON predictions TO mill_app")


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
