"""The rules of batch predictions: a dataset or a file of one's own, scored by a version of a model."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from mill_contracts.ids import JobId, new_id
from mill_kit.problems import Problem
from mill_kit.store import ObjectInfo, ObjectStore
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from mill_api.access.audit import audit
from mill_api.access.principal import Principal
from mill_api.datasets import repository as datasets
from mill_api.datasets.service import not_ready
from mill_api.datasets.tables import DatasetStatus
from mill_api.db import UnitOfWork
from mill_api.deployments import repository
from mill_api.deployments.errors import BatchInUse, BatchNotDone
from mill_api.deployments.handlers import SCORE
from mill_api.deployments.schemas import BatchForm, BatchWish
from mill_api.deployments.tables import BatchPredictionRow
from mill_api.jobs import repository as jobs
from mill_api.jobs.service import NewJob, enqueue
from mill_api.models import repository as models
from mill_api.models.errors import ModelNotTrained
from mill_api.models.tables import ModelVersionRow
from mill_api.once.errors import Replay
from mill_api.once.service import ClaimUpload
from mill_api.storage.doomed import doom
from mill_api.storage.forms import read_form, single_values
from mill_api.storage.uploads import receive


@dataclass(frozen=True)
class BatchService:
    """Everything runs in the caller's transaction; that of an uploaded file begins when all bytes have come."""

    objects: ObjectStore
    max_upload_bytes: int

    async def score_dataset(
        self, work: UnitOfWork, model_id: UUID, wish: BatchWish, who: Principal
    ) -> BatchPredictionRow:
        """Raises `ModelNotFound`, `ModelNotTrained`, `DatasetNotFound`, `DatasetNotReady`."""
        version = await _scoring_version(work.session, model_id, wish.version)
        data = await datasets.version(work.session, wish.dataset_id, wish.dataset_version)
        if data.status is DatasetStatus.INVALID:
            raise not_ready(data)
        row = BatchPredictionRow(
            id=new_id(),
            tenant_id=who.workspace_id,
            model_id=model_id,
            model_version_id=version.id,
            dataset_version_id=data.id,
            created_by=who.user_id,
            file_name=data.file_name,
            output_format=wish.output_format,
            return_probabilities=wish.return_probabilities,
        )
        waits_for = JobId(data.job_id) if data.status is DatasetStatus.PROCESSING else None
        return await _add(work, row, who, waits_for)

    async def score_file(
        self, request: Request, model_id: UUID, who: Principal, work: UnitOfWork, claim: ClaimUpload
    ) -> BatchPredictionRow:
        """Raises what `receive` raises, `Invalid` for the fields, `ModelNotFound`, `ModelNotTrained`. A refusal leaves no object behind."""
        batch_id = new_id()
        key = f"scores/{batch_id}/{new_id()}/raw"
        upload = await receive(request, self.objects, key, max_bytes=self.max_upload_bytes)
        try:
            form = read_form(BatchForm, single_values(upload.fields))
            await claim(work, upload.digest, upload.stored.size)
            version = await _scoring_version(work.session, model_id, form.version)
            row = BatchPredictionRow(
                id=batch_id,
                tenant_id=who.workspace_id,
                model_id=model_id,
                model_version_id=version.id,
                created_by=who.user_id,
                file_name=upload.file_name[:255],
                file_key=key,
                file_sha256=upload.stored.sha256,
                file_size=upload.stored.size,
                output_format=form.output_format,
                return_probabilities=form.return_probabilities,
            )
            return await _add(work, row, who, None)
        except (
            Problem,
            Replay,
        ):  # a refusal, so nothing is committed; after anything else that is not certain, and the sweep looks
            await asyncio.to_thread(self.objects.delete, key)
            raise

    async def delete(self, work: UnitOfWork, batch_id: UUID, who: Principal) -> None:
        """The row, the uploaded file and the result, together. Raises `BatchNotFound`, `BatchInUse` until its job has ended."""
        batch = await repository.batch(work.session, batch_id)
        job = await jobs.lock(work, batch.job_id)
        await work.session.refresh(batch)  # what an attempt that ended just now has written
        if job is None or batch.job_id != job.id or not job.state.is_final:
            raise BatchInUse(f"Wait for job {batch.job_id}, or cancel it, and delete the batch prediction then")
        audit(work, who, "batch-prediction.deleted", "batch-prediction", batch.id)
        await work.session.delete(batch)
        await work.session.flush()
        await doom(work, self.objects, [key for key in (batch.file_key, batch.output_key) if key is not None])

    def result(self, batch: BatchPredictionRow) -> ObjectInfo:
        """The file with predictions. Raises `BatchNotDone`."""
        if batch.output_key is None or batch.report is None:
            reason = (batch.problem or {}).get("detail", f"follow job {batch.job_id}")
            raise BatchNotDone(f"There is no result: {reason}")
        return ObjectInfo(batch.output_key, batch.report["output_bytes"], batch.report["output_sha256"])


async def _add(
    work: UnitOfWork, row: BatchPredictionRow, who: Principal, waits_for: JobId | None
) -> BatchPredictionRow:
    spec = {"batch_id": str(row.id), "model_version_id": str(row.model_version_id)}
    if row.dataset_version_id is not None:
        spec["dataset_version_id"] = str(row.dataset_version_id)
    job = await enqueue(
        work,
        NewJob(
            settings=SCORE,
            tenant_id=who.workspace_id,
            spec=spec,
            subject_id=row.id,
            requested_by=who.user_id,
            waits_for=waits_for,
        ),
    )
    row.job_id = job.id
    work.session.add(row)
    await work.session.flush()
    await work.session.refresh(row)
    audit(work, who, "batch-prediction.asked", "batch-prediction", row.id)
    return row


async def _scoring_version(session: AsyncSession, model_id: UUID, number: int | None) -> ModelVersionRow:
    """The version asked for, else the live one, else the latest trained."""
    _, version = await models.version(session, model_id, number)
    if number is None:
        live = await repository.deployment_of(session, model_id)
        if live is not None and live.active_version_id is not None:
            return await models.version_by_id(session, live.active_version_id)
        version = await models.latest_trained(session, model_id) or version
    if not version.is_trained:
        raise ModelNotTrained(f"Version {version.version} is not trained; follow job {version.job_id}")
    return version
