"""The rows of datasets (migration 0004). A version never changes once its profile is written."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mill_api.db import TenantRow


class DatasetStatus(StrEnum):
    """Follows from what the profile job left; it is not stored."""

    PROCESSING = "processing"
    READY = "ready"
    INVALID = "invalid"


class DatasetRow(TenantRow):
    """A name in a project. `latest_version` is the highest version, whatever became of it."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    sensitive: Mapped[bool] = mapped_column(server_default=text("false"))
    latest_version: Mapped[int]
    created_by: Mapped[UUID | None]


class DatasetVersionRow(TenantRow):
    """One upload. `report` is a `DatasetReport`, `problem` a `ProblemDocument`; both absent while the profile is made."""

    __tablename__ = "dataset_versions"
    __table_args__ = (
        UniqueConstraint("dataset_id", "version"),
        UniqueConstraint("job_id"),
        Index("ix_dataset_versions_dataset_id", "dataset_id"),
    )

    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    version: Mapped[int]
    job_id: Mapped[UUID]
    created_by: Mapped[UUID | None]
    file_name: Mapped[str] = mapped_column(Text)
    raw_key: Mapped[str] = mapped_column(Text)
    raw_sha256: Mapped[str] = mapped_column(Text)
    raw_size: Mapped[int] = mapped_column(BigInteger)
    data_key: Mapped[str | None] = mapped_column(Text)
    preview_key: Mapped[str | None] = mapped_column(Text)
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    @property
    def status(self) -> DatasetStatus:
        if self.report is not None:
            return DatasetStatus.READY
        return DatasetStatus.PROCESSING if self.problem is None else DatasetStatus.INVALID

    @property
    def object_keys(self) -> list[str]:
        return [key for key in (self.raw_key, self.data_key, self.preview_key) if key is not None]
