"""The rows of quotas (migration 0010). Only the operator (`python -m mill_api quota`) and the system's own tasks write them."""

from uuid import UUID

from sqlalchemy import BigInteger, Column, Date, DateTime, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from mill_api.db.rows import Row, TenantRow

_UUID = postgresql.UUID(as_uuid=True)


class QuotaRow(TenantRow):
    """What the operator gave one workspace; None leaves the setting as it is."""

    __tablename__ = "quotas"

    tenant_id: Mapped[UUID] = mapped_column(unique=True, index=False)
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    running_jobs: Mapped[int | None] = mapped_column(BigInteger)
    models: Mapped[int | None] = mapped_column(BigInteger)
    predictions_per_day: Mapped[int | None] = mapped_column(BigInteger)


job_turns = Table(
    "job_turns",
    Row.metadata,
    Column("tenant_id", _UUID, primary_key=True),
    Column("claimed_at", DateTime(timezone=True), nullable=False),
)
"""When a workspace's job was last claimed: whoever waited longest is next."""


prediction_counts = Table(
    "prediction_counts",
    Row.metadata,
    Column("tenant_id", _UUID, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)
"""Predictions of a workspace on one day (UTC) by one run of one process of ml-service, as far as it has reported."""
