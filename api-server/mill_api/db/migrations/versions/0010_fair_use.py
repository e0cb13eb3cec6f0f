"""Answers that are given again for the same Idempotency-Key; quotas of workspaces, their turns in the queue, predictions by day."""

import sqlalchemy as sa
from alembic import op
from mill_api.db.rls import protect_tenant_table
from sqlalchemy.dialects import postgresql as pg

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_UUID = pg.UUID(as_uuid=True)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    _answers()
    op.create_table(
        "quotas",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("tenant_id", _UUID, nullable=False),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("running_jobs", sa.BigInteger),
        sa.Column("models", sa.BigInteger),
        sa.Column("predictions_per_day", sa.BigInteger),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("tenant_id", name="uq_quotas_tenant_id"),
    )
    op.create_table(
        "job_turns",
        sa.Column("tenant_id", _UUID, primary_key=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "prediction_counts",
        sa.Column("tenant_id", _UUID, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    for statement in [
        *protect_tenant_table("quotas", system="SELECT, INSERT, UPDATE, DELETE", grants="SELECT"),
        *protect_tenant_table("job_turns", system="SELECT, INSERT, UPDATE, DELETE", grants="SELECT"),
        *protect_tenant_table("prediction_counts", system="SELECT, INSERT, UPDATE, DELETE", grants="SELECT"),
    ]:
        op.execute(statement)


def _answers() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("id", _UUID, primary_key=True),
        sa.Column("tenant_id", _UUID, nullable=False),
        sa.Column("user_id", _UUID, nullable=False),
        sa.Column("key_sha256", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint(
            "tenant_id", "user_id", "key_sha256", name="uq_idempotency_keys_tenant_id_user_id_key_sha256"
        ),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    for statement in protect_tenant_table("idempotency_keys", system="SELECT, DELETE", grants="SELECT, INSERT"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("Restore a backup instead: going back would lose rows")
