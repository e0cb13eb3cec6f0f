"""How large the file of a batch prediction is, so that it counts in the quota of bytes. Files of before count as nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch_predictions", sa.Column("file_size", sa.BigInteger))


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
