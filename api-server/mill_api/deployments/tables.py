"""The rows of deployments (migrations 0006 and 0008).

`deployments` holds the wish, `published_routes` what the data plane shall know (read by mill_system, who publishes),
`publication_changes` that there is something to publish, `publications` every snapshot as it was signed.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mill_api.db import Row, TenantRow


class DeploymentRow(TenantRow):
    """At most one for each model. `wanted_version_id` is a version whose training has not ended yet.

    `policy` is a `mill_contracts.routing.Policy`, null where all of it is as usual.
    """

    __tablename__ = "deployments"
    __table_args__ = (UniqueConstraint("model_id"),)

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    active_version_id: Mapped[UUID | None] = mapped_column(ForeignKey("model_versions.id"))
    previous_version_id: Mapped[UUID | None] = mapped_column(ForeignKey("model_versions.id"))
    wanted_version_id: Mapped[UUID | None] = mapped_column(ForeignKey("model_versions.id"))
    public: Mapped[bool] = mapped_column(server_default=text("false"))
    policy: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    deployed_at: Mapped[datetime | None]
    deployed_by: Mapped[UUID | None]


class PublishedRouteRow(TenantRow):
    """One `mill_contracts.routing.Route`, as the next snapshot will hold it."""

    __tablename__ = "published_routes"
    __table_args__ = (UniqueConstraint("model_version_id"),)

    deployment_id: Mapped[UUID] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), index=True)
    model_version_id: Mapped[UUID] = mapped_column(ForeignKey("model_versions.id", ondelete="CASCADE"))
    route: Mapped[dict[str, Any]] = mapped_column(JSONB)


class PublicationChangeRow(TenantRow):
    """Something the data plane must learn has changed; the publication that tells it deletes the row."""

    __tablename__ = "publication_changes"


class PublicationRow(Row):
    """A snapshot as it was signed. `written_at` is set once it lies in the object store; the newest row is the truth."""

    __tablename__ = "publications"

    number: Mapped[int] = mapped_column(BigInteger, unique=True)
    document: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    written_at: Mapped[datetime | None]


class BatchPredictionRow(TenantRow):
    """A table scored by a version: a dataset's (`dataset_version_id`) or an uploaded file's (`file_…`)."""

    __tablename__ = "batch_predictions"
    __table_args__ = (UniqueConstraint("job_id"),)

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    model_version_id: Mapped[UUID] = mapped_column(ForeignKey("model_versions.id", ondelete="CASCADE"))
    dataset_version_id: Mapped[UUID | None] = mapped_column(ForeignKey("dataset_versions.id", ondelete="SET NULL"))
    job_id: Mapped[UUID]
    created_by: Mapped[UUID | None]
    file_name: Mapped[str] = mapped_column(Text)
    file_key: Mapped[str | None] = mapped_column(Text)
    file_sha256: Mapped[str | None] = mapped_column(Text)
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    output_format: Mapped[str] = mapped_column(Text)
    return_probabilities: Mapped[bool]
    output_key: Mapped[str | None] = mapped_column(Text)
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class PredictionRow(TenantRow):
    """One prediction that came through `/api/v1/predictions`: what was asked and what ml-service answered."""

    __tablename__ = "predictions"
    __table_args__ = (Index("ix_predictions_tenant_id_created_at", "tenant_id", "created_at"),)

    model_id: Mapped[UUID | None]
    model: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[UUID]
    request_id: Mapped[str | None] = mapped_column(Text)
    status: Mapped[int]
    milliseconds: Mapped[float]
    input: Mapped[dict[str, Any]] = mapped_column(JSONB)
    output: Mapped[dict[str, Any]] = mapped_column(JSONB)
