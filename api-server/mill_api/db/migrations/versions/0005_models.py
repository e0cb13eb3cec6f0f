"""Models and their versions."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0005"
down_revision = "0004"
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


def _models() -> None:
    op.create_table(
        "models",
        *_common(),
        _uuid("project_id", sa.ForeignKey("projects.id", ondelete="CASCADE")),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, server_default="", nullable=False),
        sa.Column("tags", pg.ARRAY(sa.Text), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        _uuid("created_by", nullable=True),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    op.create_index("ix_models_tenant_id", "models", ["tenant_id"])
    op.create_index("ix_models_project_id", "models", ["project_id"])


def _versions() -> None:
    op.create_table(
        "model_versions",
        *_common(),
        _uuid("model_id", sa.ForeignKey("models.id", ondelete="CASCADE")),
        sa.Column("version", sa.Integer, nullable=False),
        _uuid("job_id"),
        _uuid("created_by", nullable=True),
        _uuid("dataset_id", sa.ForeignKey("datasets.id", ondelete="SET NULL"), nullable=True),
        _uuid("dataset_version_id", sa.ForeignKey("dataset_versions.id", ondelete="SET NULL"), nullable=True),
        sa.Column("framework", sa.Text, nullable=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("target_reason", sa.Text),
        sa.Column("wish", pg.JSONB, nullable=False),
        sa.Column("recipe", pg.JSONB),
        sa.Column("package_key", sa.Text),
        sa.Column("package_sha256", sa.Text),
        sa.Column("package_size", sa.BigInteger),
        sa.Column("report", pg.JSONB),
        sa.Column("problem", pg.JSONB),
        sa.Column("deprecated_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("model_id", "version"),
        sa.UniqueConstraint("job_id"),
    )
    op.create_index("ix_model_versions_tenant_id", "model_versions", ["tenant_id"])
    op.create_index("ix_model_versions_dataset_version_id", "model_versions", ["dataset_version_id"])


def upgrade() -> None:
    _models()
    _versions()
    for table in ("models", "model_versions"):
        for statement in protect_tenant_table(table):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
