"""Projects."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column(
            "tenant_id", pg.UUID(as_uuid=True), sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, server_default="", nullable=False),
        sa.Column("tags", pg.ARRAY(sa.Text), server_default="{}", nullable=False),
        sa.Column("config", pg.JSONB, server_default="{}", nullable=False),
        sa.Column("created_by", pg.UUID(as_uuid=True), sa.ForeignKey("users.id", ondelete="SET NULL")),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_index(
        "uq_projects_tenant_id_name",
        "projects",
        ["tenant_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_projects_tenant_id_created_at_id", "projects", ["tenant_id", "created_at", "id"])
    for statement in protect_tenant_table("projects", grants="SELECT, INSERT, UPDATE"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
