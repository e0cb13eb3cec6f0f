"""The rules of datasets: the same name is the next version, a profile follows every upload, nothing in use is deleted."""

import asyncio
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from mill_contracts.ids import new_id
from mill_contracts.tables import DatasetReport, Preview
from mill_contracts.tokens import Scope
from mill_kit.problems import Problem
from mill_kit.store import ObjectInfo, ObjectStore
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from mill_api.access.audit import audit
from mill_api.access.principal import Principal
from mill_api.datasets import repository
from mill_api.datasets.errors import DatasetInUse, DatasetNameTaken, DatasetNotReady
from mill_api.datasets.handlers import PROFILE
from mill_api.datasets.schemas import DatasetChange, DownloadFormat, UploadForm
from mill_api.datasets.tables import DatasetRow, DatasetStatus, DatasetVersionRow
from mill_api.db import ReadSession, UnitOfWork
from mill_api.jobs.service import NewJob, enqueue
from mill_api.once.errors import Replay
from mill_api.once.service import ClaimUpload
from mill_api.projects.service import require_open_project
from mill_api.storage.doomed import doom
from mill_api.storage.forms import read_form, single_values
from mill_api.storage.uploads import Upload, receive

_LONGEST_FILE_NAME = 255


@dataclass(frozen=True)
class DatasetService:
    """Everything runs in the caller's transaction; that of an upload begins when all bytes have come."""

    objects: ObjectStore
    max_upload_bytes: int

    async def upload(
        self, request: Request, owner: Principal, work: UnitOfWork, claim: ClaimUpload
    ) -> tuple[DatasetRow, DatasetVersionRow]:
        """Stream the file into the store, then write version and profile job. `work` has not begun while bytes flow.

        Raises what `storage.uploads.receive` raises, `Invalid` for the fields, `ProjectNotFound`. A refusal leaves no object behind.
        """
        owner.need_scope(Scope.WRITE)
        version_id = new_id()
        key = f"datasets/{version_id}/{new_id()}/raw"
        upload = await receive(request, self.objects, key, max_bytes=self.max_upload_bytes)
        try:
            form = read_fields(upload)
            await claim(work, upload.digest, upload.stored.size)
            return await add_version(work, version_id, form, upload, owner)
        except (
            Problem,
            Replay,
        ):  # a refusal, so nothing is committed; after anything else that is not certain, and the sweep looks
            await asyncio.to_thread(self.objects.delete, key)
            raise

    async def preview(self, version: DatasetVersionRow) -> Preview:
        if version.preview_key is None:
            raise not_ready(version)
        return Preview.model_validate_json(await asyncio.to_thread(self.objects.get, version.preview_key))

    def download(self, version: DatasetVersionRow, form: DownloadFormat) -> ObjectInfo:
        """The object to stream: the very bytes that were uploaded, or the canonical Parquet."""
        if form == "raw":
            return ObjectInfo(version.raw_key, version.raw_size, version.raw_sha256)
        report = report_of(version)
        return ObjectInfo(version.data_key or "", report.parquet_bytes, report.parquet_sha256)

    async def delete(self, work: UnitOfWork, dataset_id: UUID, user: Principal) -> None:
        """Rows and objects, together. Raises `DatasetNotFound`, `DatasetInUse` while jobs work with it."""
        dataset, _ = await repository.dataset(work.session, dataset_id)
        versions = await repository.all_versions(work.session, dataset_id)
        if await repository.has_open_jobs(work.session, [version.id for version in versions]):
            raise DatasetInUse("Wait for the dataset's jobs, or cancel them, and delete it then")
        keys = [key for version in versions for key in version.object_keys]
        audit(work, user, "dataset.deleted", "dataset", dataset.id, name=dataset.name)
        await work.session.delete(dataset)
        await work.session.flush()
        await doom(work, self.objects, keys)


async def add_version(
    work: UnitOfWork, version_id: UUID, form: UploadForm, upload: Upload, owner: Principal
) -> tuple[DatasetRow, DatasetVersionRow]:
    """The next version of the name in its project, and its profile job."""
    await require_open_project(work.session, form.project_id, owner)
    dataset = await repository.next_version(work.session, form, owner)
    job = await enqueue(
        work,
        NewJob(
            settings=PROFILE,
            tenant_id=owner.workspace_id,
            spec={"version_id": str(version_id)},
            subject_id=dataset.id,
            requested_by=owner.user_id,
        ),
    )
    version = DatasetVersionRow(
        id=version_id,
        tenant_id=owner.workspace_id,
        dataset_id=dataset.id,
        version=dataset.latest_version,
        job_id=job.id,
        created_by=owner.user_id,
        file_name=upload.file_name[:_LONGEST_FILE_NAME],
        raw_key=upload.stored.key,
        raw_sha256=upload.stored.sha256,
        raw_size=upload.stored.size,
    )
    work.session.add(version)
    await work.session.flush()
    await work.session.refresh(version)
    audit(work, owner, "dataset.uploaded", "dataset", dataset.id, version=version.version)
    return dataset, version


async def change(
    work: UnitOfWork, dataset_id: UUID, wish: DatasetChange, user: Principal
) -> tuple[DatasetRow, DatasetVersionRow]:
    """Raises `DatasetNotFound`, `DatasetNameTaken`."""
    dataset, latest = await repository.dataset(work.session, dataset_id)
    changes = wish.model_dump(exclude_none=True)
    before = {field: getattr(dataset, field) for field in changes}
    for field, value in changes.items():
        setattr(dataset, field, value)
    try:
        await work.session.flush()
    except IntegrityError:
        raise DatasetNameTaken(f"Choose another name than {wish.name!r}") from None
    audit(work, user, "dataset.changed", "dataset", dataset.id, before=before, after=changes)
    await work.session.refresh(dataset)
    return dataset, latest


async def ready_version(session: ReadSession, dataset_id: UUID, version: int | None) -> DatasetVersionRow:
    """The version asked for, or the latest. Raises `DatasetNotFound`, `DatasetVersionNotFound`, `DatasetNotReady`."""
    row = await repository.version(session, dataset_id, version)
    if row.status is not DatasetStatus.READY:
        raise not_ready(row)
    return row


def report_of(version: DatasetVersionRow) -> DatasetReport:
    """What profiling found. Raises `DatasetNotReady`."""
    if version.report is None:
        raise not_ready(version)
    return DatasetReport.model_validate(version.report)


def not_ready(version: DatasetVersionRow) -> DatasetNotReady:
    if version.status is DatasetStatus.INVALID:
        reason = (version.problem or {}).get("detail", "the table could not be read")
        return DatasetNotReady(f"Version {version.version} is invalid: {reason}")
    return DatasetNotReady(f"Version {version.version} is still being profiled; follow job {version.job_id}")


def read_fields(upload: Upload) -> UploadForm:
    """The text fields, checked. The name defaults to the file's own, tags may be repeated or separated by commas."""
    tags = [tag for text in upload.fields.get("tags", []) for tag in text.split(",") if tag.strip()]
    values = single_values({name: given for name, given in upload.fields.items() if name != "tags"})
    values.setdefault("name", PurePosixPath(upload.file_name.replace("\\", "/")).stem)
    return read_form(UploadForm, {**values, "tags": tags})
