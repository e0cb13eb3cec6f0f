"""Objects that no row names any more, noted in the transaction that deleted the row. Old jobs of the platform itself may go."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import TENANT, protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "doomed_objects",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("tenant_id", pg.UUID(as_uuid=True), server_default=sa.text(TENANT), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
    )
    op.create_index("ix_doomed_objects_tenant_id", "doomed_objects", ["tenant_id"])
    for statement in [
        *protect_tenant_table("doomed_objects", system="SELECT, DELETE", grants="SELECT, INSERT"),
        "GRANT DELETE ON jobs TO mill_system",
        "CREATE POLICY platform_only ON jobs AS RESTRICTIVE FOR DELETE TO mill_system USING (tenant_id IS NULL)",
    ]:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
