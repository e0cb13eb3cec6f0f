"""What crosses the wire about datasets."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from mill_contracts.tables import ColumnKind, ColumnStatistics, DatasetReport, TableWarning
from pydantic import BaseModel, ConfigDict

from mill_api.datasets.tables import DatasetRow, DatasetStatus, DatasetVersionRow
from mill_api.texts import Description, Name, Tags

DownloadFormat = Literal["raw", "parquet"]


class UploadForm(BaseModel):
    """The text fields of an upload; the file itself is streamed."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    description: Description = ""
    project_id: UUID
    tags: Tags = []
    sensitive: bool = False


class DatasetChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    description: Description | None = None
    tags: Tags | None = None


class ColumnSummary(BaseModel):
    name: str
    kind: ColumnKind
    missing: int
    distinct: int

    @classmethod
    def of(cls, column: ColumnStatistics) -> Self:
        return cls(name=column.name, kind=column.kind, missing=column.missing, distinct=column.distinct)


class DatasetVersion(BaseModel):
    """One upload of a dataset. `job_id` is the profile job; `problem` says why a version is invalid."""

    id: UUID
    version: int
    status: DatasetStatus
    job_id: UUID
    file_name: str
    sha256: str
    size_bytes: int
    rows: int | None
    format: str | None
    columns: list[ColumnSummary]
    warnings: list[TableWarning]
    problem: dict[str, Any] | None
    created_at: datetime

    @classmethod
    def of(cls, row: DatasetVersionRow) -> Self:
        report = None if row.report is None else DatasetReport.model_validate(row.report)
        return cls(
            id=row.id,
            version=row.version,
            status=row.status,
            job_id=row.job_id,
            file_name=row.file_name,
            sha256=row.raw_sha256,
            size_bytes=row.raw_size,
            rows=report.rows if report else None,
            format=report.format if report else None,
            columns=[ColumnSummary.of(column) for column in report.columns] if report else [],
            warnings=list(report.warnings) if report else [],
            problem=row.problem,
            created_at=row.created_at,
        )


class DatasetSummary(BaseModel):
    """A dataset with what is known of its latest version."""

    id: UUID
    project_id: UUID
    name: str
    description: str
    tags: list[str]
    sensitive: bool
    version: int
    version_id: UUID
    status: DatasetStatus
    job_id: UUID
    file_name: str
    sha256: str
    size_bytes: int
    rows: int | None
    column_count: int | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: DatasetRow, latest: DatasetVersionRow) -> Self:
        report = latest.report or {}
        columns = report.get("columns")
        return cls(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            description=row.description,
            tags=row.tags,
            sensitive=row.sensitive,
            version=latest.version,
            version_id=latest.id,
            status=latest.status,
            job_id=latest.job_id,
            file_name=latest.file_name,
            sha256=latest.raw_sha256,
            size_bytes=latest.raw_size,
            rows=report.get("rows"),
            column_count=None if columns is None else len(columns),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class Dataset(DatasetSummary):
    """A dataset whole: its latest version's columns, warnings and, when it is invalid, the problem."""

    columns: list[ColumnSummary]
    warnings: list[TableWarning]
    problem: dict[str, Any] | None

    @classmethod
    def of(cls, row: DatasetRow, latest: DatasetVersionRow) -> Self:
        version = DatasetVersion.of(latest)
        return cls(
            **DatasetSummary.of(row, latest).model_dump(),
            columns=version.columns,
            warnings=version.warnings,
            problem=version.problem,
        )


class Statistics(BaseModel):
    """All that profiling counted, column by column."""

    dataset_id: UUID
    version: int
    rows: int
    columns: list[ColumnStatistics]
    warnings: list[TableWarning]


class PreviewPage(BaseModel):
    """Some of the first rows, as JSON values in column order; `total` is how many the preview holds."""

    dataset_id: UUID
    version: int
    columns: list[str]
    rows: list[list[Any]]
    offset: int
    total: int
