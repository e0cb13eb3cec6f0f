"""The rows of models (migration 0005). A version never changes once it is trained, but for its deprecation."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobState
from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column

from mill_api.db import TenantRow
from mill_api.jobs.tables import JobRow


class ModelStatus(StrEnum):
    """Follows from the job and the deployment; it is not stored. An uploaded version is quarantined, validating, then ready or
    rejected, where one that is trained here is training, then trained or failed."""

    TRAINING = "training"
    TRAINED = "trained"
    DEPLOYED = "deployed"
    DEPRECATED = "deprecated"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    VALIDATING = "validating"
    READY = "ready"
    REJECTED = "rejected"


class ModelRow(TenantRow):
    """A name in a workspace. `latest_version` is the highest version, whatever became of it."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    task: Mapped[str] = mapped_column(Text)
    latest_version: Mapped[int]
    created_by: Mapped[UUID | None]


class ModelVersionRow(TenantRow):
    """One training. `wish` is what was asked, `recipe` what was trained; `report` is a `TrainingReport`, `problem` why it failed.

    `recipe`, `target` and `target_reason` are absent while the dataset is still being profiled. A version that was uploaded has
    an `upload` (file_name, sha256, size, and the `key` it lies under in quarantine as long as it does), no recipe, and an
    `AdoptionReport`.
    """

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("model_id", "version"),
        UniqueConstraint("job_id"),
        Index("ix_model_versions_dataset_version_id", "dataset_version_id"),
    )

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    version: Mapped[int]
    job_id: Mapped[UUID] = mapped_column()
    created_by: Mapped[UUID | None]
    dataset_id: Mapped[UUID | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    dataset_version_id: Mapped[UUID | None] = mapped_column(ForeignKey("dataset_versions.id", ondelete="SET NULL"))
    framework: Mapped[str] = mapped_column(Text)
    algorithm: Mapped[str] = mapped_column(Text)
    target: Mapped[str | None] = mapped_column(Text)
    target_reason: Mapped[str | None] = mapped_column(Text)
    wish: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recipe: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    package_key: Mapped[str | None] = mapped_column(Text)
    package_sha256: Mapped[str | None] = mapped_column(Text)
    package_size: Mapped[int | None] = mapped_column(BigInteger)
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    deprecated_at: Mapped[datetime | None]
    upload: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    job_state: Mapped[JobState | None] = column_property(  # pyright: ignore[reportAssignmentType] - kept as its word
        select(JobRow.state).where(JobRow.id == job_id).correlate_except(JobRow).scalar_subquery()
    )

    @property
    def is_trained(self) -> bool:
        return self.report is not None

    def status(self, *, deployed: bool) -> ModelStatus:
        if deployed:
            return ModelStatus.DEPLOYED
        if self.deprecated_at is not None:
            return ModelStatus.DEPRECATED
        if self.upload is not None:
            return self._validated()
        if self.is_trained:
            return ModelStatus.TRAINED
        return ModelStatus.TRAINING if self.problem is None else ModelStatus.FAILED

    def _validated(self) -> ModelStatus:
        """How far an uploaded version has come."""
        if self.is_trained:
            return ModelStatus.READY
        if self.problem is not None:
            return ModelStatus.REJECTED
        return ModelStatus.VALIDATING if self.job_state is JobState.RUNNING else ModelStatus.QUARANTINED
