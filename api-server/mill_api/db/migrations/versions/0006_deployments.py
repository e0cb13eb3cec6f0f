"""Deployments, publications, batch predictions, the history of single predictions."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _uuid(
    name: str, target: str | None = None, *, ondelete: str | None = None, nullable: bool = False
) -> sa.Column[object]:
    constraints = () if target is None else (sa.ForeignKey(target, ondelete=ondelete),)
    return sa.Column(name, pg.UUID(as_uuid=True), *constraints, nullable=nullable)


def _moment(name: str, *, now: bool = False) -> sa.Column[object]:
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not now)


def _tenant_table(name: str, *columns: sa.Column[object] | sa.UniqueConstraint) -> None:
    op.create_table(
        name,
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        _uuid("tenant_id"),
        _moment("created_at", now=True),
        _moment("updated_at", now=True),
        *columns,
    )
    op.create_index(f"ix_{name}_tenant_id", name, ["tenant_id"])


def _deployments() -> None:
    _tenant_table(
        "deployments",
        _uuid("model_id", "models.id", ondelete="CASCADE"),
        _uuid("active_version_id", "model_versions.id", nullable=True),
        _uuid("previous_version_id", "model_versions.id", nullable=True),
        _uuid("wanted_version_id", "model_versions.id", nullable=True),
        sa.Column("public", sa.Boolean, server_default=sa.text("false"), nullable=False),
        _moment("deployed_at"),
        _uuid("deployed_by", nullable=True),
        sa.UniqueConstraint("model_id"),
    )
    _tenant_table(
        "published_routes",
        _uuid("deployment_id", "deployments.id", ondelete="CASCADE"),
        _uuid("model_version_id", "model_versions.id", ondelete="CASCADE"),
        sa.Column("route", pg.JSONB, nullable=False),
        sa.UniqueConstraint("model_version_id"),
    )
    op.create_index("ix_published_routes_deployment_id", "published_routes", ["deployment_id"])
    _tenant_table("publication_changes")
    op.create_table(
        "publications",
        sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, unique=True),
        sa.Column("document", sa.Text, nullable=False),
        _moment("created_at", now=True),
        _moment("written_at"),
    )


def _predictions() -> None:
    _tenant_table(
        "batch_predictions",
        _uuid("model_id", "models.id", ondelete="CASCADE"),
        _uuid("model_version_id", "model_versions.id", ondelete="CASCADE"),
        _uuid("dataset_version_id", "dataset_versions.id", ondelete="SET NULL", nullable=True),
        _uuid("job_id"),
        _uuid("created_by", nullable=True),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("file_key", sa.Text),
        sa.Column("file_sha256", sa.Text),
        sa.Column("output_format", sa.Text, nullable=False),
        sa.Column("return_probabilities", sa.Boolean, nullable=False),
        sa.Column("output_key", sa.Text),
        sa.Column("report", pg.JSONB),
        sa.Column("problem", pg.JSONB),
        sa.UniqueConstraint("job_id"),
    )
    op.create_index("ix_batch_predictions_model_id", "batch_predictions", ["model_id"])
    _tenant_table(
        "predictions",
        _uuid("model_id", nullable=True),
        sa.Column("model", sa.Text, nullable=False),
        _uuid("asked_by"),
        sa.Column("request_id", sa.Text),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("milliseconds", sa.Float, nullable=False),
        sa.Column("input", pg.JSONB, nullable=False),
        sa.Column("output", pg.JSONB, nullable=False),
    )
    op.create_index("ix_predictions_tenant_id_created_at", "predictions", ["tenant_id", "created_at"])


def upgrade() -> None:
    _deployments()
    _predictions()
    for statement in [
        *protect_tenant_table("deployments"),
        *protect_tenant_table("published_routes", system="SELECT"),
        *protect_tenant_table("publication_changes", system="SELECT, DELETE", grants="SELECT, INSERT"),
        *protect_tenant_table("batch_predictions"),
        *protect_tenant_table("predictions", grants="SELECT, INSERT"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON publications TO mill_system",
    ]:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
