"""Model versions that come as files from outside, and the jobs that validate them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_KINDS = "kind IN ('profile', 'train', 'score', 'sweep', 'adopt')"


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("upload", pg.JSONB))
    op.drop_constraint("kind", "jobs", type_="check")
    op.create_check_constraint("kind", "jobs", _KINDS)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
