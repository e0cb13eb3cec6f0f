"""Datasets and their versions."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _uuid(name: str, *constraints: sa.ForeignKey, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, pg.UUID(as_uuid=True), *constraints, nullable=nullable)


def _common() -> list[sa.Column[object]]:
    return [
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        _uuid("tenant_id"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "datasets",
        *_common(),
        _uuid("project_id", sa.ForeignKey("projects.id", ondelete="CASCADE")),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, server_default="", nullable=False),
        sa.Column("tags", pg.ARRAY(sa.Text), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("sensitive", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        _uuid("created_by", nullable=True),
        sa.UniqueConstraint("project_id", "name"),
    )
    op.create_index("ix_datasets_tenant_id", "datasets", ["tenant_id"])
    op.create_table(
        "dataset_versions",
        *_common(),
        _uuid("dataset_id", sa.ForeignKey("datasets.id", ondelete="CASCADE")),
        sa.Column("version", sa.Integer, nullable=False),
        _uuid("job_id"),
        _uuid("created_by", nullable=True),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("raw_key", sa.Text, nullable=False),
        sa.Column("raw_sha256", sa.Text, nullable=False),
        sa.Column("raw_size", sa.BigInteger, nullable=False),
        sa.Column("data_key", sa.Text),
        sa.Column("preview_key", sa.Text),
        sa.Column("report", pg.JSONB),
        sa.Column("problem", pg.JSONB),
        sa.UniqueConstraint("dataset_id", "version"),
        sa.UniqueConstraint("job_id"),
    )
    op.create_index("ix_dataset_versions_tenant_id", "dataset_versions", ["tenant_id"])
    op.create_index("ix_dataset_versions_dataset_id", "dataset_versions", ["dataset_id"])
    for table in ("datasets", "dataset_versions"):
        for statement in protect_tenant_table(table):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
