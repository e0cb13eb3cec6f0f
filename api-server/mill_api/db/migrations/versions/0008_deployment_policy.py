"""What a deployment does with values that do not fit: null is what every deployment did before it could be chosen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("policy", pg.JSONB, nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
