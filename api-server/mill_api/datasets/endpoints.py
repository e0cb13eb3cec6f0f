"""Datasets over HTTP: upload, look, download, delete."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from mill_api.access.dependencies import Paging, ProjectEditor, Reading, UploadClaim, UploadWork, Work
from mill_api.datasets import repository, service
from mill_api.datasets.repository import DatasetFilter
from mill_api.datasets.schemas import (
    Dataset,
    DatasetChange,
    DatasetSummary,
    DatasetVersion,
    DownloadFormat,
    PreviewPage,
    Statistics,
)
from mill_api.datasets.service import DatasetService
from mill_api.datasets.tables import DatasetStatus
from mill_api.db.pages import Page
from mill_api.once.route import OnceRoute
from mill_api.storage.downloads import download as stream
from mill_api.texts import VersionNumber

router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"], route_class=OnceRoute)


def dataset_service(request: Request) -> DatasetService:
    return request.app.state.parts.datasets


Datasets = Annotated[DatasetService, Depends(dataset_service)]
Version = Annotated[VersionNumber | None, Query(description="A version's number; the latest when left out")]

_UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "project_id"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "CSV, JSON array or NDJSON (each also gzipped), or Parquet",
                        },
                        "project_id": {"type": "string", "format": "uuid"},
                        "name": {"type": "string", "description": "Defaults to the file's name without its ending"},
                        "description": {"type": "string"},
                        "tags": {"type": "string", "description": "Separated by commas, or the field repeated"},
                        "sensitive": {"type": "boolean", "description": "No row of it may end up in a model package"},
                    },
                }
            }
        },
    }
}


@router.post("", status_code=201, openapi_extra=_UPLOAD_BODY)
async def upload(
    request: Request, me: ProjectEditor, work: UploadWork, claim: UploadClaim, datasets: Datasets
) -> Dataset:
    """Upload a table; the same name in the same project is its next version. Profiling starts at once."""
    return Dataset.of(*await datasets.upload(request, me, work, claim))


@router.get("")
async def list_datasets(
    session: Reading,
    paging: Paging,
    project_id: UUID | None = None,
    tag: str | None = None,
    search: Annotated[str | None, Query(description="Part of the name")] = None,
    status: DatasetStatus | None = None,
) -> Page[DatasetSummary]:
    """The workspace's datasets, newest first."""
    found = await repository.datasets(session, DatasetFilter(project_id, tag, search, status), paging)
    latest = await repository.latest_versions(session, found.rows)
    return found.page(lambda row: DatasetSummary.of(row, latest[row.id]))


@router.get("/{dataset_id}")
async def show(dataset_id: UUID, session: Reading) -> Dataset:
    """A dataset with its latest version's columns and warnings."""
    return Dataset.of(*await repository.dataset(session, dataset_id))


@router.patch("/{dataset_id}")
async def change(dataset_id: UUID, wish: DatasetChange, me: ProjectEditor, work: Work) -> Dataset:
    """Rename, describe or tag a dataset."""
    return Dataset.of(*await service.change(work, dataset_id, wish, me))


@router.delete("/{dataset_id}", status_code=204)
async def delete(dataset_id: UUID, me: ProjectEditor, work: Work, datasets: Datasets) -> None:
    """Delete a dataset with all its versions and files. Models trained on it stay, with its sha256 in their lineage."""
    await datasets.delete(work, dataset_id, me)


@router.get("/{dataset_id}/versions")
async def versions(dataset_id: UUID, session: Reading, paging: Paging) -> Page[DatasetVersion]:
    """All versions, newest first."""
    return (await repository.versions(session, dataset_id, paging)).page(DatasetVersion.of)


@router.get("/{dataset_id}/versions/{version}")
async def show_version(dataset_id: UUID, version: VersionNumber, session: Reading) -> DatasetVersion:
    """One version: its columns and warnings, or why it is invalid."""
    return DatasetVersion.of(await repository.version(session, dataset_id, version))


@router.get("/{dataset_id}/statistics")
async def statistics(dataset_id: UUID, session: Reading, version: Version = None) -> Statistics:
    """Missing, distinct, range, quantiles, histogram or top values of every column."""
    row = await service.ready_version(session, dataset_id, version)
    report = service.report_of(row)
    return Statistics(
        dataset_id=dataset_id,
        version=row.version,
        rows=report.rows,
        columns=list(report.columns),
        warnings=list(report.warnings),
    )


@router.get("/{dataset_id}/preview")
async def preview(
    dataset_id: UUID,
    session: Reading,
    datasets: Datasets,
    version: Version = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> PreviewPage:
    """The first rows as JSON."""
    row = await service.ready_version(session, dataset_id, version)
    found = await datasets.preview(row)
    return PreviewPage(
        dataset_id=dataset_id,
        version=row.version,
        columns=list(found.columns),
        rows=[list(values) for values in found.rows[offset : offset + limit]],
        offset=offset,
        total=len(found.rows),
    )


@router.get("/{dataset_id}/download", response_class=StreamingResponse)
async def download(
    dataset_id: UUID,
    session: Reading,
    datasets: Datasets,
    version: Version = None,
    form: Annotated[
        DownloadFormat, Query(alias="format", description="`raw`: the uploaded bytes; `parquet`: the canonical table")
    ] = "raw",
) -> StreamingResponse:
    """The file itself, streamed."""
    row = await repository.version(session, dataset_id, version)
    name = row.file_name if form == "raw" else f"{row.file_name}.parquet"
    return stream(datasets.objects, datasets.download(row, form), name)
